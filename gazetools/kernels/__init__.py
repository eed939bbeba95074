"""Every compiled loop of the project: arrays in, arrays out, numpy and numba only.

``fastmath`` is never used: missing gaze is NaN, and fast mathematics assumes there is none.
"""
