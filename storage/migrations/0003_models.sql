-- Characters that a network learns to draw: their pictures, runs, votes, and what they have drawn.

CREATE TABLE training_images (
    id            INTEGER PRIMARY KEY,
    character     TEXT NOT NULL COLLATE NOCASE,
    sha256        TEXT NOT NULL,                 -- of the file as it was encoded here
    source_sha256 TEXT NOT NULL,                 -- of the bytes that arrived
    path          TEXT NOT NULL UNIQUE,          -- training/<character>/<sha256>.png
    width         INTEGER NOT NULL,
    height        INTEGER NOT NULL,
    average_hash  TEXT NOT NULL,                 -- 64 bits as 16 hexadecimal digits
    sharpness     REAL NOT NULL,                 -- variance of the Laplacian of the grey picture
    remarks       TEXT NOT NULL DEFAULT '[]',    -- what people were told about it, as JSON
    uploaded_by   TEXT NOT NULL,
    created_at    TEXT NOT NULL,
    UNIQUE (character, sha256)
) STRICT;

-- A row per intake job: what became of the files, and the message that says so.
CREATE TABLE training_uploads (
    job_id      INTEGER PRIMARY KEY REFERENCES jobs (id),
    character   TEXT NOT NULL COLLATE NOCASE,
    uploaded_by TEXT NOT NULL,
    result      TEXT NOT NULL DEFAULT '',        -- the Intake section once it is settled
    channel_id  INTEGER,
    message_id  INTEGER UNIQUE,
    told_at     TEXT,                            -- when people were shown how it ended
    created_at  TEXT NOT NULL
) STRICT;

CREATE TABLE training_runs (
    id           INTEGER PRIMARY KEY,
    character    TEXT NOT NULL COLLATE NOCASE,
    name         TEXT NOT NULL UNIQUE,           -- its folder in DATA_DIR/models
    base         TEXT NOT NULL,                  -- what people chose: a folder in DATA_DIR/bases
    state        TEXT NOT NULL DEFAULT 'running',
    step         INTEGER NOT NULL DEFAULT 0,
    steps        INTEGER NOT NULL,
    loss         REAL,
    seconds_left REAL,
    note         TEXT NOT NULL DEFAULT '',       -- what it does before the first step
    warning      TEXT NOT NULL DEFAULT '',       -- what people should know while it goes on
    error        TEXT NOT NULL DEFAULT '',       -- why it failed
    restarts     INTEGER NOT NULL DEFAULT 0,     -- in a row, without a new checkpoint
    event_offset INTEGER NOT NULL DEFAULT 0,     -- bytes of events.jsonl that are in these rows
    requested_by TEXT NOT NULL,
    channel_id   INTEGER,                        -- of the live message
    message_id   INTEGER UNIQUE,
    told_at      TEXT,                           -- when people were told that it has ended
    created_at   TEXT NOT NULL,
    ended_at     TEXT
) STRICT;
-- One network is trained at a time.
CREATE UNIQUE INDEX training_runs_running ON training_runs (state) WHERE state = 'running';

-- Checkpoints that people judge by their validation pictures; a message each.
CREATE TABLE validations (
    run_id     INTEGER NOT NULL REFERENCES training_runs (id),
    step       INTEGER NOT NULL,
    folder     TEXT NOT NULL,                    -- models/<name>/validation-<step>
    loss       REAL,                             -- with fixed noise
    channel_id INTEGER,
    message_id INTEGER UNIQUE,
    ended      TEXT NOT NULL DEFAULT '',         -- why its reactions count no more
    created_at TEXT NOT NULL,
    PRIMARY KEY (run_id, step)
) STRICT, WITHOUT ROWID;

-- What stands now; the log of who did what is in `promotions` and the run.
CREATE TABLE checkpoint_votes (
    run_id  INTEGER NOT NULL,
    step    INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    door    TEXT NOT NULL,                       -- 'reaction' or 'command'
    at      TEXT NOT NULL,
    PRIMARY KEY (run_id, step, user_id, door),
    FOREIGN KEY (run_id, step) REFERENCES validations (run_id, step)
) STRICT, WITHOUT ROWID;

-- ❌ and ⏸️ that were done: those still there when somebody resumes the run ask for nothing new.
CREATE TABLE checkpoint_wishes (
    run_id  INTEGER NOT NULL,
    step    INTEGER NOT NULL,
    sign    TEXT NOT NULL,
    user_id INTEGER NOT NULL,
    PRIMARY KEY (run_id, step, sign, user_id),
    FOREIGN KEY (run_id, step) REFERENCES validations (run_id, step)
) STRICT, WITHOUT ROWID;

-- The newest one of a character that has not ended is in use; the one before it is the way back.
CREATE TABLE promotions (
    id        INTEGER PRIMARY KEY,
    character TEXT NOT NULL COLLATE NOCASE,
    run_id    INTEGER NOT NULL REFERENCES training_runs (id),
    step      INTEGER NOT NULL,
    path      TEXT NOT NULL,                     -- models/<name>/promoted-<step>
    sha256    TEXT NOT NULL,                     -- of its model_info.json, which names the weights
    who       TEXT NOT NULL,
    at        TEXT NOT NULL,
    ended_at  TEXT,
    ended_by  TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX promotions_character ON promotions (character, ended_at);

-- What a model has drawn for the library, shown on one sheet and used after a yes only.
CREATE TABLE picture_boards (
    id           INTEGER PRIMARY KEY,
    promotion_id INTEGER NOT NULL REFERENCES promotions (id),
    state        TEXT NOT NULL DEFAULT 'making',  -- then 'open', then 'closed' or 'failed'
    job_id       INTEGER REFERENCES jobs (id),
    sheet        TEXT NOT NULL DEFAULT '',        -- picture with all of them, numbered
    channel_id   INTEGER,
    message_id   INTEGER UNIQUE,
    ended        TEXT NOT NULL DEFAULT '',        -- what was decided by whom, or what failed
    told_at      TEXT,
    created_at   TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX picture_boards_open ON picture_boards (promotion_id)
    WHERE state IN ('making', 'open');

CREATE TABLE proposed_pictures (
    board_id INTEGER NOT NULL REFERENCES picture_boards (id),
    number   INTEGER NOT NULL,                   -- 1 to 8, its emoji
    emotion  TEXT NOT NULL,
    path     TEXT NOT NULL,
    sha256   TEXT NOT NULL,
    width    INTEGER NOT NULL,
    height   INTEGER NOT NULL,
    score    REAL NOT NULL,                      -- 0 to 1
    PRIMARY KEY (board_id, number)
) STRICT, WITHOUT ROWID;

-- NULL for drawings of the rig and photos; a model's pictures are shown while it is in use.
ALTER TABLE image_library ADD COLUMN promotion_id INTEGER REFERENCES promotions (id);
