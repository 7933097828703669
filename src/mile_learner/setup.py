from setuptools import find_packages, setup

package_name = 'mile_learner'

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
    description='Intervention model, policies, learning methods, training, evaluation, bags and run folders.',
    license='Apache-2.0',
    entry_points={'console_scripts': ['learner_node = mile_learner.learner_node:main']},
)
