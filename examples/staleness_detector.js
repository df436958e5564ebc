#!/usr/bin/env node
// Marks what an asset's change has made stale: a consumer of the four types of event that are on the channel
// assetreg_staleness.
//
// Use: staleness_detector.js [--once]    where libpq's environment (PGHOST, PGDATABASE ...) leads to the registry
// Needs pg (Debian: node-pg), a role with the level "service", and a direct connection: through a pooler of
// transactions nothing is heard. --once ends when there is nothing left to do.
//
// A notification only says when to look: whatever was missed, while the connection was down or the detector was,
// is fetched when it is back. An event may come twice, so effects are kept by event_id.
'use strict';
const os = require('os');
const { Client } = require('pg');

const consumer = process.env.CONSUMER || 'staleness_detector';
const worker = `${os.hostname()}:${process.pid}`;
const types = ['asset.version_released', 'asset.file_changed', 'asset.status_changed', 'asset.deleted'];
const once = process.argv.includes('--once');
const pollMilliseconds = 5000; // also where nobody notifies

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Put your own work here: this marks the segments downstream. A rejection means: try again.
async function markStale(db, event) {
	// a released version makes stale what uses the versions before it; what is deleted has no dependents any more
	await db.query(`
		INSERT INTO public.stale_segments (event_id, type, subject, segments)
		SELECT $1, $2, $3, ARRAY(SELECT w.key FROM assetreg.assets a, assetreg.where_used(a.id, kinds => '{segment}', all_versions => true) w
		                         WHERE a.id = $4 ORDER BY w.key)
		ON CONFLICT DO NOTHING`, [event.event_id, event.type, event.subject, event.entity_id]);
}

async function prepare(db) {
	await db.query(`CREATE TABLE IF NOT EXISTS public.stale_segments (
		event_id uuid PRIMARY KEY, type text, subject text, segments text[], found_at timestamptz DEFAULT now())`);
	await db.query('SELECT assetreg.create_consumer($1, $2, true)', [consumer, types]).catch((error) => {
		if (error.code !== '42710') throw error; // it is there from the last time
	});
	// first listen, then look: what comes in between is heard
	await db.query('LISTEN assetreg_staleness');
}

// Fetches, works and acks until nothing is left.
async function work(db) {
	for (;;) {
		const { rows } = await db.query('SELECT * FROM assetreg.fetch_events($1, 100, $2)', [consumer, worker]);
		if (rows.length === 0) return;
		for (const event of rows) {
			try {
				await markStale(db, event);
			} catch (error) {
				await db.query('SELECT assetreg.nack_event($1, $2, $3, $4)', [consumer, event.seq, event.lease_token, error.message]);
				break; // the order of an asset's events is kept: fetch again
			}
			await db.query('SELECT assetreg.ack_events($1, $2, $3)', [consumer, event.seq, event.lease_token]);
		}
	}
}

async function session() {
	const db = new Client();
	let lost = null;
	let wake = () => {};
	db.on('notification', () => wake());
	db.on('error', (error) => { lost = error; wake(); });
	try {
		await db.connect();
		await prepare(db);
		for (;;) {
			const notified = new Promise((resolve) => { wake = resolve; });
			await work(db);
			if (once) return;
			await Promise.race([notified, sleep(pollMilliseconds)]);
			if (lost) throw lost;
		}
	} catch (error) {
		// the log was purged before we came
		if (error.code === '55000' && /too slow/.test(error.message)) await db.query('SELECT assetreg.resync_consumer($1)', [consumer]);
		throw error;
	} finally {
		await db.end().catch(() => {});
	}
}

(async () => {
	for (;;) {
		try {
			await session();
			return;
		} catch (error) {
			console.error(error.message);
			await sleep(1000);
		}
	}
})();
