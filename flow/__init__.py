"""Optical flow for two-stream networks: decoding, TV-L1, the flow video.

Stands alone: it knows nothing of networks or data sets.
"""
