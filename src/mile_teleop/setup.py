from setuptools import find_packages, setup

package_name = 'mile_teleop'

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
    description='Pad to arbitration to record.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'pad_node = mile_teleop.pad_node:main',
            'recorder_node = mile_teleop.recorder_node:main',
            'teleop_node = mile_teleop.teleop_node:main',
        ]
    },
)
