-- :name audit_add
INSERT INTO audit_log (created_at, action, result, user_id, user_email, address, target_type, target_id, target_name, detail)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s);

-- Latest first. A search looks at who it was and what it was about.
-- :name audit_page
SELECT entry_id, created_at, action, result, user_id, user_email, address, target_type, target_id, target_name, detail
FROM audit_log
WHERE entry_id < %lld AND (%s IS NULL OR action = %s) AND (%s IS NULL OR result = %s)
  AND (%s IS NULL OR user_id = %s) AND created_at >= %s AND created_at < %s
  AND (%s IS NULL OR lower(COALESCE(user_email, '')) LIKE %s ESCAPE '!' OR lower(COALESCE(target_name, '')) LIKE %s ESCAPE '!'
    OR COALESCE(address, '') LIKE %s ESCAPE '!')
ORDER BY entry_id DESC LIMIT %lld;

-- Who had that address last, of those who did something: an entry outlives its account.
-- :name audit_account_once
SELECT user_id FROM audit_log WHERE user_email = %s AND user_id IS NOT NULL ORDER BY entry_id DESC LIMIT 1;

-- What is too old, and the oldest beyond so many of one kind: what strangers try in vain, or ask for, must not push out what was
-- done.
-- :name audit_purge
DELETE FROM audit_log WHERE entry_id IN (SELECT entry_id FROM audit_log
  WHERE created_at < %s OR ((result = 'refused' OR action = 'reset_asked') = %lld
    AND entry_id <= COALESCE((SELECT o.entry_id FROM audit_log o WHERE (o.result = 'refused' OR o.action = 'reset_asked') = %lld
    ORDER BY o.entry_id DESC LIMIT 1 OFFSET %lld), 0))
  ORDER BY entry_id LIMIT 500);

-- What a board is called, and the addresses of people: an entry keeps what they were when it was written.
-- :name audit_board
SELECT board_name FROM boards WHERE board_id = %s LIMIT 1;

-- :name audit_people
SELECT email FROM users WHERE user_id IN (SELECT value FROM json_each(%s)) ORDER BY email LIMIT 1000;
