from setuptools import find_packages, setup

package_name = 'mile_policy_node'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
    ],
    install_requires=['setuptools'],
    zip_safe=False,
    maintainer='MILE maintainers',
    maintainer_email='maintainers@mile.invalid',
    description='Observation to robot action; arm and camera drivers; the safety gate before the motors.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'arm_node = mile_policy_node.arm_node:main',
            'camera_node = mile_policy_node.camera_node:main',
            'policy_node = mile_policy_node.policy_node:main',
        ]
    },
)
