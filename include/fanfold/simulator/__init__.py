"""A real HTTP server that speaks the Weibo and the Mastodon API, with faults on request.

Start it with ``python -m fanfold.simulator``, or from a test with
:func:`fanfold.simulator.process.running`. It is documented in ``docs/simulator.md``.

| module | what it is for |
|---|---|
| ``people``, ``posts``, ``places``, ``fediverse`` | profiles derived from a uid or an account name alone |
| ``weibo``, ``mastodon`` | what each API answers, its errors and its token |
| ``faults`` | one small function for each way to misbehave |
| ``quota``, ``counters``, ``settings`` | what the server counts and what can be set |
| ``application`` | from a request to what goes on the wire |
| ``server`` | bytes in, bytes out |
| ``options``, ``__main__``, ``process`` | the command line, and the context manager for tests |
"""
