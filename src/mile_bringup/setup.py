from pathlib import Path

from setuptools import find_packages, setup

package_name = 'mile_bringup'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
        ('share/' + package_name + '/launch', sorted(map(str, Path('launch').glob('*.py')))),
        ('share/' + package_name + '/config', sorted(map(str, Path('config').glob('*.*')))),
    ],
    install_requires=['setuptools'],
    zip_safe=False,
    maintainer='MILE maintainers',
    maintainer_email='maintainers@mile.invalid',
    description='The node graph, launch, configuration, and the mile command.',
    license='Apache-2.0',
    entry_points={'console_scripts': ['mile = mile_bringup.cli:main', 'session_node = mile_bringup.session_node:main']},
)
