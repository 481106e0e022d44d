-- :name user_by_id
SELECT user_id, email, display_name, is_admin, is_active, must_change_password, token_epoch, created_at, updated_at,
  last_login_at, password_hash = '*' AS invited
FROM users WHERE user_id = %s LIMIT 1;

-- :name user_secret_by_id
SELECT user_id, email, display_name, is_admin, is_active, must_change_password, token_epoch, created_at, updated_at,
  last_login_at, password_hash
FROM users WHERE user_id = %s LIMIT 1;

-- :name user_secret_by_email
SELECT user_id, email, display_name, is_admin, is_active, must_change_password, token_epoch, created_at, updated_at,
  last_login_at, password_hash
FROM users WHERE email = %s AND user_id <> 'system' LIMIT 1;

-- States: 1 active, 2 suspended, 3 invited and never here; anything else: all.
-- :name user_count
SELECT COUNT(*) AS total FROM users
WHERE user_id <> 'system' AND (email LIKE %s ESCAPE '!' OR lower(COALESCE(display_name, '')) LIKE %s ESCAPE '!')
  AND (%lld < 0 OR is_admin = %lld)
  AND CASE %lld WHEN 1 THEN is_active = 1 AND password_hash <> '*' WHEN 2 THEN is_active = 0
    WHEN 3 THEN is_active = 1 AND password_hash = '*' ELSE 1 END LIMIT 1;

-- Accounts that only keep what somebody left behind (cli/import_people.c) come last: when they were made nobody knows.
-- :name user_page
SELECT user_id, email, display_name, is_admin, is_active, must_change_password, token_epoch, created_at, updated_at,
  last_login_at, password_hash = '*' AS invited
FROM users
WHERE user_id <> 'system' AND (email LIKE %s ESCAPE '!' OR lower(COALESCE(display_name, '')) LIKE %s ESCAPE '!')
  AND (%lld < 0 OR is_admin = %lld)
  AND CASE %lld WHEN 1 THEN is_active = 1 AND password_hash <> '*' WHEN 2 THEN is_active = 0
    WHEN 3 THEN is_active = 1 AND password_hash = '*' ELSE 1 END
ORDER BY substr(email, -16) = '@deleted.invalid' AND password_hash = '*', created_at, user_id LIMIT %lld OFFSET %lld;

-- Those who can still administer the server besides the one named.
-- :name user_count_admins
SELECT COUNT(*) AS total FROM users
WHERE is_admin = 1 AND is_active = 1 AND user_id <> 'system' AND user_id <> %s LIMIT 1;

-- As above, but only those who could sign in now: who was invited, or came from elsewhere without a password, has none.
-- :name user_count_able_admins
SELECT COUNT(*) AS total FROM users
WHERE is_admin = 1 AND is_active = 1 AND user_id <> 'system' AND user_id <> %s
  AND password_hash NOT IN ('*', '!') LIMIT 1;

-- :name user_insert
INSERT INTO users (user_id, email, display_name, password_hash, is_admin, must_change_password, created_at, updated_at)
VALUES (%s, %s, %s, %s, %d, %d, %s, %s);

-- :name user_update
UPDATE users SET display_name = %s, is_admin = %d, is_active = %d, must_change_password = %d, updated_at = %s
WHERE user_id = %s;

-- :name user_set_password
UPDATE users SET password_hash = %s, token_epoch = token_epoch + 1 WHERE user_id = %s;

-- :name user_signed_in
UPDATE users SET last_login_at = %s WHERE user_id = %s;

-- What an account leaves to another one.
-- :name user_leave_boards
UPDATE boards SET user_id = %s WHERE user_id = %s;

-- :name user_leave_images
UPDATE images SET user_id = %s WHERE user_id = %s;

-- :name user_leave_workflows
UPDATE workflows SET user_id = %s WHERE user_id = %s;

-- :name user_leave_style_presets
UPDATE style_presets SET user_id = %s WHERE user_id = %s;

-- An owner is not among the people a board is shared with.
-- :name user_end_shares_of_own_boards
DELETE FROM shared_boards WHERE user_id = %s AND board_id IN (SELECT board_id FROM boards WHERE user_id = %s);

-- :name user_delete
DELETE FROM users WHERE user_id = %s AND user_id <> 'system';

-- :name user_set_email
UPDATE users SET email = %s, updated_at = %s WHERE user_id = %s;
