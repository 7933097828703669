"""Writes a bag until it is killed; says how many messages were handed over before it paused."""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

from mile_teleop.bag_metadata import Topic
from mile_teleop.bag_writer import BagWriter
from mile_teleop.message_types import encode, load_types

typestore = load_types(Path(sys.argv[2]))
event_type = typestore.types['mile_msgs/msg/Event']
header = typestore.types['std_msgs/msg/Header']
stamp = typestore.types['builtin_interfaces/msg/Time']
topic = Topic('/mile/event', 'mile_msgs/msg/Event')
writer = BagWriter(Path(sys.argv[1]), [topic], typestore, {'task': 'toy'})
for index in itertools.count():
    event = event_type(header=header(stamp=stamp(sec=index, nanosec=0), frame_id=''), type='x', episode_id='e', index=index, detail='')
    writer.write(topic.name, encode(typestore, topic.type, event), 1 + index)
    if index == 499:
        time.sleep(1.5)
        print('committed', flush=True)
