"""The QoS profiles of the graph, by what a topic is for."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

SENSOR = QoSProfile(depth=5, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Only the newest matters: joint states, arm state, scene, joy."""

SENSOR_RECORD = QoSProfile(depth=1000, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT)
"""The same for who must see each: what comes while a recorder opens a bag, or a pad's e-stop while the arbiter is busy, waits."""

COMMAND = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE)
"""An older command must never be executed after a newer one: commands, joint targets."""

TURN = QoSProfile(depth=20, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE)
"""Each is answered, be it late, for every step records what the robot would have done; only an answer to the newest is obeyed: ticks,
policy outputs."""

IMAGE = QoSProfile(depth=2, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE)
"""Large messages: best effort loses nearly all of them on one host's default transport."""

RECORD = QoSProfile(depth=1000, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE)
"""Nothing may be lost: steps, events, command results."""

LATCHED = QoSProfile(
    depth=1,
    history=HistoryPolicy.KEEP_LAST,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""A late joiner must know it: who is in charge."""
