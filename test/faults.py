#!/usr/bin/python3
"""Events under faults: writers, consumers, and one who kills them and their server.

Use: faults.py run SECONDS DATA_DIRECTORY BINDIR REGISTRY EFFECTS    both connection strings; 016_events.pl makes the servers

Writers change the hash of an asset to one of their own, so each event says which one came before: a chain for each
asset, in which a lost, invented or swapped event is a gap.  What a client saw committed is in its own list; what
consumers did is in another server, kept by event_id.  Beside them a poller reads `recorded > last`, as many do: the
run is worth nothing unless that one loses events.  Prints `name value` lines.
"""
import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time

import psycopg

ASSETS = 100
CONSUMERS = {"one": None, "two": ["asset.file_changed"]}
WORKERS, PARTITIONS, LEASE = 3, 4, 1.5


def patiently(connection, work):
    """Works on a connection, and on the next one when that is lost."""
    while True:
        try:
            with psycopg.connect(connection, autocommit=True, connect_timeout=5) as db:
                while True:
                    work(db)
        except psycopg.Error:
            time.sleep(0.02)


def write(connection, ledger):
    """Transactions: some changes, a pause, sometimes a savepoint, a rollback or a commit that nobody waits for."""
    rng = random.Random()
    seen = open(ledger, "a", buffering=1)

    def change(db):
        hashes = []
        for asset in sorted(rng.sample(range(1, ASSETS + 1), rng.randint(1, 8))):  # sorted: no deadlocks
            hashes.append(secrets.token_hex(32))
            db.execute("UPDATE assetreg.assets SET sha256 = %s WHERE id = %s", [hashes[-1], asset])
        return hashes

    def transaction(db):
        rolled_back, waits = rng.random() < 0.1, rng.random() > 0.15
        db.execute("BEGIN")
        if not waits:
            db.execute("SET LOCAL synchronous_commit = off")
        if rng.random() < 0.2:
            db.execute("SAVEPOINT s")
            db.execute("UPDATE assetreg.assets SET sha256 = %s WHERE id = 1", [secrets.token_hex(32)])
            db.execute("ROLLBACK TO s")
        hashes = change(db)
        time.sleep(rng.random() * 0.02)
        db.execute("ROLLBACK" if rolled_back else "COMMIT")
        if not rolled_back and waits:
            seen.write("".join(hash + "\n" for hash in hashes))

    patiently(connection, transaction)


def consume(connection, effects, consumer, worker):
    asked = []
    signal.signal(signal.SIGUSR1, lambda *_: asked.append(True))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])  # see run()

    def work(other, event_id, entity_id, data):
        time.sleep(random.random() * 0.004)
        keep(other, consumer, event_id, entity_id, data)
        if asked:  # between the effect and the ack
            asked.clear()
            os.kill(os.getpid(), signal.SIGSTOP)

    def batch(db):
        events = db.execute("SELECT seq, event_id, entity_id, data, lease_token FROM assetreg.fetch_events(%s, 50, %s, %s)",
                            [consumer, worker, f"{LEASE} seconds"]).fetchall()
        if not events:
            time.sleep(0.02)
        try:
            for seq, event_id, entity_id, data, token in events:
                work(other, event_id, entity_id, data)
                if random.random() < 0.1 or event_id == events[-1][1]:
                    db.execute("SELECT assetreg.ack_events(%s, %s, %s)", [consumer, seq, token])
        except psycopg.errors.ObjectNotInPrerequisiteState:  # the partition is another's now
            other.execute("INSERT INTO lost_leases VALUES (%s)", [worker])

    with psycopg.connect(effects, autocommit=True) as other:
        patiently(connection, batch)


def keep(other, consumer, event_id, entity_id, data):
    other.execute("INSERT INTO effects (consumer, event_id, entity_id, hash, previous) VALUES (%s, %s, %s, %s, %s)"
                  " ON CONFLICT (consumer, event_id) DO UPDATE SET given = effects.given + 1", [consumer, event_id, entity_id, data.get("sha256"), data.get("previous_sha256")])


def poll(connection, effects):
    """The naive one."""
    last = 0

    def batch(db):
        nonlocal last
        for recorded, event_id, entity_id, data in db.execute(
                "SELECT recorded, event_id, entity_id, data FROM assetreg.events WHERE recorded > %s ORDER BY recorded LIMIT 100", [last]).fetchall():
            keep(other, "naive", event_id, entity_id, data)
            last = recorded
        time.sleep(0.01)

    with psycopg.connect(effects, autocommit=True) as other:
        patiently(connection, batch)


class Faults:
    def __init__(self, seconds, data, bindir, registry, effects):
        self.until = time.time() + seconds
        self.data, self.bindir, self.registry, self.effects = data, bindir, registry, effects
        self.workers, self.stopped, self.server = {}, set(), None
        self.count = dict.fromkeys(["postmaster_kills", "worker_kills", "worker_stops", "backend_kills"], 0)

    def start(self, name, *arguments):
        self.workers[name] = (subprocess.Popen([sys.executable, __file__, *arguments], stderr=subprocess.DEVNULL), arguments)

    def restart_server(self):
        with open(f"{self.data}/postmaster.pid") as file:
            os.kill(int(file.readline()), signal.SIGKILL)
        if self.server:
            self.server.wait()
        self.count["postmaster_kills"] += 1
        with open(f"{self.data}/faults.log", "a") as log:
            for _ in range(600):
                self.server = subprocess.Popen([f"{self.bindir}/postgres", "-D", self.data], stdout=log, stderr=log, start_new_session=True)
                while self.server.poll() is None:
                    try:
                        psycopg.connect(self.registry, connect_timeout=5).close()
                        return
                    except psycopg.Error:
                        time.sleep(0.02)
                time.sleep(0.1)  # the children of the one before have to notice
        raise SystemExit("the server did not come back")

    def hurt_server(self):
        while time.time() < self.until:
            time.sleep(random.uniform(1.8, 3.4))
            self.restart_server()

    def hurt_backends(self):
        def one(db):
            time.sleep(random.uniform(0.3, 1.2))
            self.count["backend_kills"] += db.execute(
                """SELECT count(pg_terminate_backend(a.pid)) FROM (SELECT pid FROM pg_stat_activity
                   WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1) a""").fetchone()[0]
            if time.time() > self.until:
                raise SystemExit

        try:
            patiently(self.registry, one)
        except SystemExit:
            pass

    def hurt_workers(self):
        names = [name for name in self.workers if name.startswith("consume")]
        while time.time() < self.until:
            time.sleep(random.uniform(0.2, 0.8))
            name = random.choice([name for name in names if self.workers[name][0] not in self.stopped])
            process, arguments = self.workers[name]
            if random.random() < 0.6 or len(self.stopped) > 2:
                process.kill()
                process.wait()
                self.start(name, *arguments)
                self.count["worker_kills"] += 1
            else:  # a zombie: it wakes up when its lease has gone to another
                self.stopped.add(process)
                process.send_signal(signal.SIGUSR1)
                threading.Thread(target=self.wake, args=[process], daemon=True).start()

    def wake(self, process):
        try:
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        except ChildProcessError:  # there was nothing more to do, and it is gone
            return
        time.sleep(LEASE * 1.5)
        process.send_signal(signal.SIGCONT)
        self.stopped.discard(process)
        self.count["worker_stops"] += 1

    def stop(self, kind):
        for name, (process, _) in self.workers.items():
            if name.startswith(kind):
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()

    def run(self):
        ledgers = [f"{self.data}/../ledger{i}" for i in range(8)]
        with psycopg.connect(self.registry, autocommit=True) as db, psycopg.connect(self.effects, autocommit=True) as other:
            db.execute("INSERT INTO assetreg.assets (type, name, version) SELECT 'lora', 'a' || i, '1' FROM generate_series(1, %s) i" % ASSETS)
            for consumer, types in CONSUMERS.items():
                db.execute("SELECT assetreg.create_consumer(%s, %s, false, %s)", [consumer, types, PARTITIONS])
            other.execute("""CREATE TABLE effects (n bigserial, consumer text, event_id uuid, entity_id bigint, hash text, previous text,
                             given int DEFAULT 1, PRIMARY KEY (consumer, event_id))""")
            other.execute("CREATE TABLE lost_leases (worker text)")
        for i, ledger in enumerate(ledgers):
            open(ledger, "w").close()
            self.start(f"write{i}", "write", self.registry, ledger)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])  # for who has just been started it waits
        for consumer in CONSUMERS:
            for i in range(WORKERS):
                self.start(f"consume {consumer}{i}", "consume", self.registry, self.effects, consumer, f"{consumer}{i}")
        self.start("poll", "poll", self.registry, self.effects)
        threads = [threading.Thread(target=t) for t in (self.hurt_server, self.hurt_backends, self.hurt_workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.stop("write")
        time.sleep(LEASE * 2)  # for the zombies
        self.drain()
        self.stop("")
        self.report([line.strip() for ledger in ledgers for line in open(ledger) if len(line) == 65])

    def drain(self):
        deadline = time.time() + 120
        while time.time() < deadline:
            try:
                with psycopg.connect(self.registry, autocommit=True) as db:
                    if db.execute("SELECT sum(pending) FROM assetreg.consumer_lag").fetchone()[0] == 0:
                        return
            except psycopg.Error:
                pass
            time.sleep(0.2)
        raise SystemExit("the consumers did not finish")

    def report(self, ledger):
        with psycopg.connect(self.registry) as db, psycopg.connect(self.effects) as other:
            truth = {id for id, in db.execute("SELECT event_id FROM assetreg.events WHERE type = 'asset.file_changed'")}
            last = dict(db.execute("SELECT id, sha256 FROM assetreg.assets").fetchall())
            results = {**self.count, "leases_lost": other.execute("SELECT count(*) FROM lost_leases").fetchone()[0],
                       "events": len(truth), "committed": len(ledger)}
            for consumer in [*CONSUMERS, "naive"]:
                rows = other.execute("SELECT event_id, entity_id, hash, previous, given FROM effects WHERE consumer = %s ORDER BY n", [consumer]).fetchall()
                rows = [row for row in rows if row[2]]
                chain, gaps = {}, 0
                for _, asset, hash, previous, _ in rows:
                    gaps += chain.get(asset) != previous
                    chain[asset] = hash
                gaps += sum(chain.get(asset) != hash for asset, hash in last.items())
                hashes = {row[2] for row in rows}
                results.update({f"{consumer}_lost": len(truth - {row[0] for row in rows}), f"{consumer}_phantom": len({row[0] for row in rows} - truth),
                                f"{consumer}_gaps": gaps, f"{consumer}_unseen": sum(hash not in hashes for hash in ledger),
                                f"{consumer}_again": sum(row[4] - 1 for row in rows)})
        for name, value in results.items():
            print(name, value)


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "run":
        Faults(float(rest[0]), *rest[1:]).run()
    else:
        {"write": write, "consume": consume, "poll": poll}[what](*rest)
