"""How fast the engine is on this machine: `python -m engine.bench -m FILE`.

First the ceiling is measured: how fast the same threads read memory and do nothing else. Decoding
reads every weight once a token, so its speed has a share of that ceiling; the share counts the
bytes that the weights take in the file. Machines are noisy: each figure is the median of
`--repeat` rounds after a warm-up, shown with its spread, and only ratios within one report mean
much. `--compare` runs another program in turn with ours, so that both meet the same noise.

`--server URL` measures a running server instead, ours or another: it streams answers from its
OpenAI-compatible API and meanwhile asks URL/health every 50 ms, each time over a new connection.
"""
