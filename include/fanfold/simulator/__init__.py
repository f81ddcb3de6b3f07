"""An HTTP server that simulates the APIs of the sample pipelines and injects faults on request.

Start it with ``python -m fanfold.simulator``, or in a test with
:func:`fanfold.simulator.process.running`. See ``docs/simulator.md``.

| module | purpose |
|---|---|
| ``people``, ``fediverse``, ``provinces``, ``vocabulary`` | generate Weibo and Mastodon profiles |
| ``weibo``, ``mastodon``, ``tushare`` | routes, errors and authentication of each API |
| ``weather`` | readings of weather stations, for first pipelines |
| ``faults`` | one function per fault |
| ``quota``, ``counters``, ``settings`` | rate limit, statistics, settings |
| ``application`` | map a request to the response to send |
| ``server`` | HTTP/1.1 on asyncio |
| ``options``, ``__main__``, ``process``, ``child`` | command line, and a server as a child process |
"""
