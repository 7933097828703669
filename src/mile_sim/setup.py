from setuptools import find_packages, setup

package_name = 'mile_sim'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['py.typed', 'task_block_insertion.yaml']},
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
    ],
    install_requires=['setuptools'],
    zip_safe=False,
    maintainer='MILE maintainers',
    maintainer_email='maintainers@mile.invalid',
    description='The simulated WidowX 250s, its block-insertion task, expert and simulated operator.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'fake_xs_sdk_node = mile_sim.fake_xs_sdk_node:main',
            'film = mile_sim.film:main',
            'operator_node = mile_sim.operator_node:main',
            'sim_node = mile_sim.sim_node:main',
        ]
    },
)
