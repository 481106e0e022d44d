-- Networks that a person has signed in from. Attempts from one of them have an allowance of their own, so that a stranger who
-- guesses at an account doesn't keep its owner out.
CREATE TABLE known_networks (
  user_id TEXT NOT NULL REFERENCES users(user_id) ON DELETE CASCADE,
  network TEXT NOT NULL,
  last_at TEXT NOT NULL,
  PRIMARY KEY (user_id, network)
) WITHOUT ROWID;
