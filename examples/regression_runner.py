#!/usr/bin/python3
"""Runs the regression tests of each asset that was updated: a consumer of update.opened and update.testing.

Use: regression_runner.py [--once]    where libpq's environment (PGHOST, PGDATABASE ...) leads to the registry
Needs psycopg 3 (Debian: python3-psycopg), a role with the level "service", and a direct connection: through a
pooler of transactions nothing is heard.  --once ends when there is nothing left to do.

A notification only says when to look: whatever was missed, while the connection was down or the runner was,
is fetched when it is back.  An event may come twice, so effects are kept by event_id.
"""
import os
import select
import socket
import sys
import time

import psycopg

CONSUMER = os.environ.get("CONSUMER", "regression_runner")
WORKER = f"{socket.gethostname()}:{os.getpid()}"
POLL_SECONDS = 5  # also where nobody notifies


def run_tests(db, event):
    """Put your own tests here: this one writes down what would be run.  An exception means: try again."""
    db.execute(
        "INSERT INTO public.regression_runs (event_id, type, subject, update_id) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        event[1:5])


def prepare(db):
    db.execute("""CREATE TABLE IF NOT EXISTS public.regression_runs (
        event_id uuid PRIMARY KEY, type text, subject text, update_id bigint, ran_at timestamptz DEFAULT now())""")
    try:
        db.execute("SELECT assetreg.create_consumer(%s, '{update.opened,update.testing}', true)", [CONSUMER])
    except psycopg.errors.DuplicateObject:
        pass  # it is there from the last time
    # first listen, then look: what comes in between is heard
    db.execute("LISTEN assetreg_regression")


def work(db):
    """Fetches, works and acks until nothing is left."""
    while True:
        events = db.execute(
            "SELECT seq, event_id, type, subject, update_id, lease_token FROM assetreg.fetch_events(%s, 100, %s)",
            [CONSUMER, WORKER]).fetchall()
        if not events:
            return
        for event in events:
            seq, token = event[0], event[5]
            try:
                run_tests(db, event)
            except Exception as error:  # whatever a test may raise
                if db.closed:
                    raise
                db.execute("SELECT assetreg.nack_event(%s, %s, %s, %s)", [CONSUMER, seq, token, str(error)])
                break  # the order of an asset's events is kept: fetch again
            db.execute("SELECT assetreg.ack_events(%s, %s, %s)", [CONSUMER, seq, token])


def wait(db):
    """Until something is notified, or it is time to look anyway."""
    select.select([db.fileno()], [], [], POLL_SECONDS)
    db.execute("SELECT 1")  # takes in what has arrived


def main(once):
    while True:
        try:
            with psycopg.connect("", autocommit=True) as db:  # fetch_events() refuses a transaction block
                prepare(db)
                while True:
                    work(db)
                    if once:
                        return
                    wait(db)
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            # a lease that was lost: somebody else does it; or the log was purged before we came
            print(error, file=sys.stderr)
            if "too slow" in str(error):
                with psycopg.connect("", autocommit=True) as db:
                    db.execute("SELECT assetreg.resync_consumer(%s)", [CONSUMER])
        except psycopg.OperationalError as error:
            print(error, file=sys.stderr)
            time.sleep(1)


if __name__ == "__main__":
    main("--once" in sys.argv[1:])
