"""The pure consensus state machine: inputs and the time go in, effects come out.

No trio, sockets, files, clock, randomness, threads or logging: the simulator and the real node
run exactly this code.
"""
