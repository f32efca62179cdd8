"""`/v1/…`: events from client libraries, as Segment's HTTP API takes them.

request ──► api ──► bodies ──► messages ──► submitting ──► the daemon
            who,     inflate,   check,       requests of one turn of the loop
            where    parse      complete     and source in one frame
"""
