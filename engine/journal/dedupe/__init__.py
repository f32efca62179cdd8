"""Which message ids were accepted before: exact, at a few bits of memory and sixteen bytes of disk an id.

    ids ─► digests ─► filter ─ no ─► fresh: into the tail, in the transaction that appends the events
                        │
                       maybe ─► the bucket's records, in memory and in the file ─► fresh or duplicate

One row of an index for each id would cost ten times the throughput. So an id is kept as a digest of 96 bits and the
second in which it was accepted, and the digests are spread over 4,096 buckets by their lowest bits:

- **Tail.** A transaction writes the digests that it adds as one row: an acknowledged event's id is known after a crash.
- **Recent.** The same records are held in memory, a byte string a bucket.
- **Sweep.** When 512 Ki ids are recent, a sweep walks over the buckets, some in each of the writer's turns, and
  writes what is recent of each as a row, a *run*; then the rows of the tail that it covers go. Eight small runs of a
  bucket become one. Runs that are too old, and the oldest where a bucket has its share of the disk, go.
- **Filter.** Fixed in size: a word of 64 bits is chosen by the digest, and four bits in it. Only what it takes for
  known, about one id in a hundred that isn't, is looked for in the bucket.

Records lie in a bucket in order of time and unsorted, because sorting and merging by order would hold the
interpreter's lock; a bucket's bytes are searched by `bytes.find`, as fast as they are read. The buckets do what the
order of a sorted run would: one place to look.

**Why 96 bits are enough.** No event is dropped on the filter's word; a hit is verified by the digest. Digests begin with a
secret of the journal, so that no client can construct two ids that collide; by chance, a fresh id meets one of fifty million
stored ones with a probability of 10^-21. At 100,000 events a second that is one event in three hundred million years.

**Bounds.** Disk: `DISK_SHARE` of what is allowed are records; the rest is what SQLite needs around them. Memory: a 32nd of it for
the filter, and about 12 MiB for what is recent. Time: a record says when; a run that is too old is deleted at the next sweep, and until
then its records are too old to match. An orderly end leaves the filter to the next start. After a crash it knows nothing and takes
everything for known, which is slower and as exact, and is filled again bucket by bucket: ten million ids take a few seconds.
"""
