"""The inside of a worker process: frame in, handlers, frame out.

pipe ─► loop ─► loading ─► Module                 Load, Suspend, DropCaches, Stop
         │
         ├────► plain      a module of `def` handlers: one event after the other
         └────► runners    with an `async def`: asyncio, `concurrency` events at once
                   │  reading   a body and its header, the one checked against the other
                   ▼
                report ─► pipe                    Outcomes; `ticker` sends them every 10 ms, and ends what is late
"""
