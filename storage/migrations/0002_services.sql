-- What paid calls cost, what people pitched and why they rejected, how trend sources did.

-- Attempts that ended because the budget was used up: they cost none of max_attempts.
ALTER TABLE jobs ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;

-- The greatest cost of a job under way; it goes when the attempt is settled.
CREATE TABLE reservations (
    job_id INTEGER PRIMARY KEY REFERENCES jobs (id),
    usd    REAL NOT NULL CHECK (usd >= 0),
    at     TEXT NOT NULL
) STRICT;

-- One row per paid call, booked when its attempt is settled. Never deleted.
CREATE TABLE spend (
    job_id     INTEGER NOT NULL REFERENCES jobs (id),
    attempt    INTEGER NOT NULL,
    call       INTEGER NOT NULL,                -- counts from 1 within the attempt
    at         TEXT NOT NULL,                   -- when it was sent
    episode_id INTEGER REFERENCES episodes (id),
    revision   INTEGER,
    stage      TEXT NOT NULL,
    provider   TEXT NOT NULL,
    model      TEXT NOT NULL,
    what       TEXT NOT NULL,                   -- 'line 3', 'script, round 2'
    usd        REAL NOT NULL,
    chars      INTEGER NOT NULL DEFAULT 0,
    tokens_in  INTEGER NOT NULL DEFAULT 0,
    tokens_out INTEGER NOT NULL DEFAULT 0,
    is_certain INTEGER NOT NULL,                -- 0: the answer was lost, so it counts in full
    request_id TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (job_id, attempt, call)
) STRICT, WITHOUT ROWID;
CREATE INDEX spend_at ON spend (at);
CREATE INDEX spend_episode ON spend (episode_id);

CREATE TABLE trend_sources (
    name        TEXT PRIMARY KEY,
    failures    INTEGER NOT NULL DEFAULT 0,     -- in a row
    not_before  TEXT,                           -- it is not asked until then
    has_named   INTEGER NOT NULL DEFAULT 0,     -- the source has named that time itself
    error       TEXT NOT NULL DEFAULT '',
    answered_at TEXT
) STRICT, WITHOUT ROWID;

-- Why people rejected a revision; the writers' room reads the recent ones.
CREATE TABLE rejections (
    id         INTEGER PRIMARY KEY,
    episode_id INTEGER NOT NULL REFERENCES episodes (id),
    revision   INTEGER NOT NULL,
    user_id    INTEGER NOT NULL,
    reason     TEXT NOT NULL,                   -- 'boring', 'off-character', 'risky', 'repeat', 'words'
    words      TEXT NOT NULL DEFAULT '',
    at         TEXT NOT NULL,
    UNIQUE (episode_id, revision, user_id)      -- a second thought replaces the first
) STRICT;

-- Premises that people choose from by emoji, five at a time.
CREATE TABLE pitch_boards (
    id           INTEGER PRIMARY KEY,
    state        TEXT NOT NULL DEFAULT 'making', -- then 'open', then 'closed' or 'failed'
    count        INTEGER NOT NULL CHECK (count BETWEEN 1 AND 5),
    job_id       INTEGER REFERENCES jobs (id),  -- first a fetch of trends, if need be
    replaces     INTEGER UNIQUE REFERENCES pitch_boards (id), -- two wishes for others make one board
    channel_id   INTEGER,
    message_id   INTEGER UNIQUE,
    asked_in     INTEGER,                       -- the channel of the command, if there was one
    requested_by TEXT NOT NULL,
    reason       TEXT NOT NULL DEFAULT '',      -- why it was made, when nobody asked
    ended        TEXT NOT NULL DEFAULT '',      -- why it is closed, or what failed
    created_at   TEXT NOT NULL,
    told_at      TEXT                           -- when people were shown that it has ended
) STRICT;

CREATE TABLE pitches (
    board_id   INTEGER NOT NULL REFERENCES pitch_boards (id),
    number     INTEGER NOT NULL,                -- 1 to 5, its emoji
    topic      TEXT NOT NULL COLLATE NOCASE,
    source     TEXT NOT NULL,
    headlines  TEXT NOT NULL DEFAULT '[]',
    hook       TEXT NOT NULL,
    last_line  TEXT NOT NULL,
    why        TEXT NOT NULL DEFAULT '',
    episode_id INTEGER REFERENCES episodes (id), -- once somebody has chosen it
    PRIMARY KEY (board_id, number)
) STRICT, WITHOUT ROWID;

-- When a post was last held back by people or a limit: only the time since then is one of trying.
ALTER TABLE posts ADD COLUMN tried_since TEXT;
