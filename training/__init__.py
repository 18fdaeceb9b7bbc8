"""What rt trains itself: small models with known trajectories to try analyses on, and sparse autoencoders of a lake.

Uses torch's optimisers and transformers' models; of this project only `extract`, `warehouse` and `queries.stats`.
"""
