-- Times are ISO 8601 in UTC, sections are JSON. A state column is only ever changed by an
-- UPDATE that names the states it may come from (storage/states.py).

CREATE TABLE trends (
    id              INTEGER PRIMARY KEY,
    name            TEXT NOT NULL COLLATE NOCASE,
    score           REAL NOT NULL CHECK (score BETWEEN 0 AND 1),
    timestamp       TEXT NOT NULL,
    source          TEXT NOT NULL,
    region          TEXT NOT NULL DEFAULT '',
    day             TEXT NOT NULL,              -- YYYY-MM-DD of the fetch, UTC
    headlines       TEXT NOT NULL DEFAULT '[]',
    refused_because TEXT,                       -- the sensitive-topic filter's reason
    used_in_episode INTEGER REFERENCES episodes (id),
    UNIQUE (name, source, day)
) STRICT;

CREATE TABLE episodes (
    id          INTEGER PRIMARY KEY,
    topic       TEXT NOT NULL DEFAULT '',       -- empty until a trend has been chosen
    source      TEXT NOT NULL DEFAULT 'hand',   -- where the topic comes from
    state       TEXT NOT NULL DEFAULT 'draft',
    revision    INTEGER NOT NULL DEFAULT 1,     -- the one people review
    best_before TEXT,                           -- topical reels spoil, evergreen ones do not
    requested_by TEXT NOT NULL DEFAULT '',      -- who asked for it, in words
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL
) STRICT;

CREATE TABLE revisions (
    episode_id  INTEGER NOT NULL REFERENCES episodes (id),
    number      INTEGER NOT NULL,
    brief       TEXT,
    script      TEXT,
    voices      TEXT,
    images      TEXT,
    video       TEXT,
    preview     TEXT,
    fingerprint TEXT,                           -- of all that would go out; set with the video
    created_at  TEXT NOT NULL,
    PRIMARY KEY (episode_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE transitions (
    id         INTEGER PRIMARY KEY,
    episode_id INTEGER NOT NULL REFERENCES episodes (id),
    revision   INTEGER NOT NULL,
    at         TEXT NOT NULL,
    who        TEXT NOT NULL,
    from_state TEXT NOT NULL,
    to_state   TEXT NOT NULL,
    reason     TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE jobs (
    id           INTEGER PRIMARY KEY,
    episode_id   INTEGER REFERENCES episodes (id),
    revision     INTEGER,
    stage        TEXT NOT NULL,
    until_stage  TEXT NOT NULL,                 -- the last stage of the chain this job belongs to
    state        TEXT NOT NULL DEFAULT 'queued',
    attempt      INTEGER NOT NULL DEFAULT 0,    -- counts from 1 once claimed
    max_attempts INTEGER NOT NULL,
    run_after    TEXT NOT NULL,
    facts        TEXT NOT NULL DEFAULT '{}',    -- arguments besides the sections, fixed when queued
    fraction     REAL NOT NULL DEFAULT 0,
    note         TEXT NOT NULL DEFAULT '',
    error        TEXT NOT NULL DEFAULT '',
    error_kind   TEXT NOT NULL DEFAULT '',
    cancel_asked INTEGER NOT NULL DEFAULT 0,
    created_at   TEXT NOT NULL,
    started_at   TEXT,
    finished_at  TEXT
) STRICT;
CREATE INDEX jobs_due ON jobs (state, run_after);
-- One open job per revision and stage: two clicks at once make one job.
CREATE UNIQUE INDEX jobs_open ON jobs (episode_id, revision, stage)
    WHERE state IN ('queued', 'running') AND episode_id IS NOT NULL;

CREATE TABLE image_library (
    id           INTEGER PRIMARY KEY,
    character    TEXT NOT NULL COLLATE NOCASE,
    emotion      TEXT NOT NULL,
    path         TEXT NOT NULL UNIQUE,          -- relative to DATA_DIR
    sha256       TEXT NOT NULL,
    width        INTEGER NOT NULL,
    height       INTEGER NOT NULL,
    source       TEXT NOT NULL,                 -- 'rig', 'photo' or 'model'
    usage_count  INTEGER NOT NULL DEFAULT 0,
    last_used_at TEXT,
    created_at   TEXT NOT NULL
) STRICT;
CREATE INDEX image_library_pair ON image_library (character, emotion);

CREATE TABLE generation_metrics (
    id             INTEGER PRIMARY KEY,
    episode        INTEGER NOT NULL REFERENCES episodes (id),
    revision       INTEGER NOT NULL,
    timestamp      TEXT NOT NULL,
    seconds_trends REAL, seconds_script REAL, seconds_audio REAL,
    seconds_images REAL, seconds_video REAL, seconds_total REAL,
    peak_rss_mb    REAL,
    cost_usd       REAL NOT NULL DEFAULT 0,
    chars_tts      INTEGER NOT NULL DEFAULT 0,
    tokens_in      INTEGER NOT NULL DEFAULT 0,
    tokens_out     INTEGER NOT NULL DEFAULT 0,
    result         TEXT NOT NULL,               -- 'succeeded', 'failed' or 'cancelled'
    UNIQUE (episode, revision)
) STRICT;

-- Messages of ours that somebody looks at: drafts under review and progress of a chain.
CREATE TABLE messages (
    message_id  INTEGER PRIMARY KEY,            -- Discord's id
    channel_id  INTEGER NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('draft', 'progress')),
    episode_id  INTEGER NOT NULL REFERENCES episodes (id),
    revision    INTEGER NOT NULL,
    fingerprint TEXT NOT NULL DEFAULT '',       -- what a draft shows
    created_at  TEXT NOT NULL,
    closed_at   TEXT                            -- superseded, deleted or finished
) STRICT;
CREATE UNIQUE INDEX messages_open_draft ON messages (episode_id, revision)
    WHERE kind = 'draft' AND closed_at IS NULL;

-- Who decided what about which fingerprint, and through which door. Withdrawn, never deleted.
CREATE TABLE decisions (
    id           INTEGER PRIMARY KEY,
    episode_id   INTEGER NOT NULL REFERENCES episodes (id),
    revision     INTEGER NOT NULL,
    user_id      INTEGER NOT NULL,
    decision     TEXT NOT NULL CHECK (decision IN ('approve', 'reject')),
    fingerprint  TEXT NOT NULL,
    door         TEXT NOT NULL CHECK (door IN ('reaction', 'command')),
    decided_at   TEXT NOT NULL,
    withdrawn_at TEXT
) STRICT;
CREATE UNIQUE INDEX decisions_standing ON decisions (episode_id, revision, user_id, decision, door)
    WHERE withdrawn_at IS NULL;

-- A slot is done once. The key is the wall clock time, so the hour that autumn repeats counts once.
CREATE TABLE slots (
    slot       TEXT PRIMARY KEY,                -- 'YYYY-MM-DD HH:MM Zone/Name'
    at         TEXT NOT NULL,                   -- the same moment in UTC
    episode_id INTEGER REFERENCES episodes (id),
    outcome    TEXT NOT NULL,                   -- 'posting', 'posted', 'empty', 'missed', 'paused', 'failed'
    claimed_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per episode and platform, so nothing is posted twice.
CREATE TABLE posts (
    episode_id   INTEGER NOT NULL REFERENCES episodes (id),
    platform     TEXT NOT NULL,                 -- 'instagram' or 'folder'
    revision     INTEGER NOT NULL,
    fingerprint  TEXT NOT NULL,
    sha256       TEXT NOT NULL,                 -- of the video that was approved
    caption      TEXT NOT NULL,
    state        TEXT NOT NULL DEFAULT 'preparing',
    container_id TEXT,
    upload_url   TEXT,
    media_id     TEXT,
    permalink    TEXT,
    attempts     INTEGER NOT NULL DEFAULT 0,    -- containers made
    waits        INTEGER NOT NULL DEFAULT 0,    -- in a row, since the state last changed
    error        TEXT NOT NULL DEFAULT '',
    run_after    TEXT,                          -- not before; set when the platform asks to wait
    slot         TEXT,                          -- NULL when a person asked for it
    created_at   TEXT NOT NULL,
    attempted_at TEXT,                          -- when `publish` was last called for the container
    posted_at    TEXT,
    PRIMARY KEY (episode_id, platform)
) STRICT, WITHOUT ROWID;

-- Written and synced before each outside call, completed after it.
CREATE TABLE post_calls (
    id          INTEGER PRIMARY KEY,
    episode_id  INTEGER NOT NULL,
    platform    TEXT NOT NULL,
    call        TEXT NOT NULL,                  -- 'create', 'upload', 'status', 'publish', 'look_up'
    started_at  TEXT NOT NULL,
    finished_at TEXT,
    outcome     TEXT NOT NULL DEFAULT '',       -- '' while in flight, then 'ok' or a sentence
    FOREIGN KEY (episode_id, platform) REFERENCES posts (episode_id, platform)
) STRICT;

-- Small facts about the channel: paused_at, schedule_since, provider choices.
CREATE TABLE notes (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
