-- Boards. Counts begin with the pictures of the board (CROSS JOIN keeps that order in SQLite), or they would look at every
-- picture there is for each board. "Visible" here says in SQL what imu_policy_board_read says in C.

-- :part board_with_counts
SELECT b.board_id, b.board_name, b.user_id, coalesce(nullif(u.display_name, ''), u.email) AS owner_name, b.board_visibility,
  nullif(u.display_name, '') AS owner_display_name, b.archived, b.created_at, b.updated_at, sb.permission,
  (SELECT count(*) FROM shared_boards n WHERE n.board_id = b.board_id LIMIT 1) AS share_count,
  coalesce(
    (SELECT ci.image_name FROM board_images ci WHERE ci.image_name = b.cover_image_name AND ci.board_id = b.board_id LIMIT 1),
    (SELECT i.image_name FROM board_images bi JOIN images i ON i.image_name = bi.image_name
     WHERE bi.board_id = b.board_id AND i.is_intermediate = 0
     ORDER BY i.starred DESC, i.created_at DESC, i.image_name LIMIT 1)) AS cover_image_name,
  (SELECT count(*) FROM board_images bi CROSS JOIN images i
   WHERE bi.board_id = b.board_id AND i.image_name = bi.image_name AND i.is_intermediate = 0 AND i.image_category = 'general' LIMIT 1) AS image_count,
  (SELECT count(*) FROM board_images bi CROSS JOIN images i
   WHERE bi.board_id = b.board_id AND i.image_name = bi.image_name AND i.is_intermediate = 0 AND i.image_category <> 'general' LIMIT 1) AS asset_count

-- :name board_insert
INSERT INTO boards (board_id, board_name, user_id, created_by_user_id, created_at, updated_at) VALUES (%s, %s, %s, %s, %s, %s);

-- :name board_get
-- :use board_with_counts
FROM boards b
JOIN users u ON u.user_id = b.user_id
LEFT JOIN shared_boards sb ON sb.board_id = b.board_id AND sb.user_id = %s
WHERE b.board_id = %s LIMIT 1;

-- What access is decided by, without the counting.
-- :name board_facts
SELECT b.board_id, b.user_id, b.board_visibility, sb.permission
FROM boards b LEFT JOIN shared_boards sb ON sb.board_id = b.board_id AND sb.user_id = %s
WHERE b.board_id = %s LIMIT 1;

-- :name boards_list
WITH ask (me, sees_all, archived, by_name, down) AS (SELECT %s, %lld, %lld, %lld, %lld)
-- :use board_with_counts
FROM ask
JOIN boards b ON ask.archived = 1 OR b.archived = 0
JOIN users u ON u.user_id = b.user_id
LEFT JOIN shared_boards sb ON sb.board_id = b.board_id AND sb.user_id = ask.me
WHERE ask.sees_all = 1 OR b.user_id = ask.me OR b.board_visibility <> 'private' OR sb.permission IS NOT NULL
ORDER BY
  CASE WHEN ask.by_name = 1 AND ask.down = 0 THEN lower(b.board_name) END,
  CASE WHEN ask.by_name = 1 AND ask.down = 1 THEN lower(b.board_name) END DESC,
  CASE WHEN ask.down = 0 THEN b.created_at END,
  CASE WHEN ask.down = 1 THEN b.created_at END DESC,
  b.board_id
LIMIT %lld OFFSET %lld;

-- :name boards_count
WITH ask (me, sees_all, archived) AS (SELECT %s, %lld, %lld)
SELECT count(*) AS total
FROM ask
JOIN boards b ON ask.archived = 1 OR b.archived = 0
LEFT JOIN shared_boards sb ON sb.board_id = b.board_id AND sb.user_id = ask.me
WHERE ask.sees_all = 1 OR b.user_id = ask.me OR b.board_visibility <> 'private' OR sb.permission IS NOT NULL
LIMIT 1;

-- What is NULL stays as it is.
-- :name board_update
UPDATE boards SET board_name = coalesce(%s, board_name), board_visibility = coalesce(%s, board_visibility),
  cover_image_name = coalesce(%s, cover_image_name), archived = coalesce(CAST(%s AS INTEGER), archived), updated_at = %s
WHERE board_id = %s;

-- :name board_delete
DELETE FROM boards WHERE board_id = %s;

-- :name board_pictures
SELECT i.image_name, i.user_id
FROM board_images bi JOIN images i ON i.image_name = bi.image_name
WHERE bi.board_id = %s
ORDER BY i.created_at DESC, i.image_name LIMIT 1000000;

-- :name board_images_put
INSERT INTO board_images (image_name, board_id, created_at, updated_at)
SELECT j.value, %s, %s, %s FROM json_each(%s) AS j WHERE 1 = 1
ON CONFLICT (image_name) DO UPDATE SET board_id = excluded.board_id, updated_at = excluded.updated_at;

-- :name board_images_remove
DELETE FROM board_images WHERE image_name IN (SELECT value FROM json_each(%s));

-- Sharing with named people.

-- An address is shown to who named the person by it, and to administrators, who see all of them anyhow.
-- :name board_shares_list
SELECT s.user_id, s.permission,
  coalesce(nullif(u.display_name, ''), CASE WHEN s.named_by = %s OR %lld = 1 THEN u.email END) AS display_name
FROM shared_boards s JOIN users u ON u.user_id = s.user_id
WHERE s.board_id = %s ORDER BY s.created_at, s.user_id LIMIT 10000;

-- Whom a board could be shared with: administrators see everybody, others whom they know here: by boards that are shared between
-- them, or open to all.
-- :name board_people
SELECT u.user_id, coalesce(nullif(u.display_name, ''), u.email) AS display_name, CASE WHEN ask.sees_all = 1 THEN u.email END AS email
FROM (SELECT %s AS me, %lld AS sees_all, %s AS board) ask JOIN users u ON u.user_id NOT IN ('system', ask.me) AND u.is_active = 1
WHERE u.user_id NOT IN (SELECT user_id FROM boards WHERE board_id = ask.board UNION SELECT user_id FROM shared_boards WHERE board_id = ask.board)
  AND (ask.sees_all = 1 OR u.display_name <> '' AND u.user_id IN (
    SELECT b.user_id FROM shared_boards s JOIN boards b ON b.board_id = s.board_id WHERE s.user_id = ask.me
    UNION SELECT s.user_id FROM shared_boards s JOIN boards b ON b.board_id = s.board_id WHERE b.user_id = ask.me
    UNION SELECT b.user_id FROM boards b WHERE b.board_visibility <> 'private'))
  AND (lower(coalesce(u.display_name, '')) LIKE %s ESCAPE '!' OR ask.sees_all = 1 AND u.email LIKE %s ESCAPE '!')
ORDER BY lower(coalesce(nullif(u.display_name, ''), u.email)), u.user_id LIMIT 20;

-- Nobody signs in to an account that only keeps what somebody left behind (store/users.c).
-- :name board_shares_put
INSERT INTO shared_boards (board_id, user_id, permission, named_by, created_at)
SELECT %s, u.user_id, %s, %s, %s FROM users u
WHERE u.user_id IN (SELECT value FROM json_each(%s)) AND u.user_id <> 'system'
  AND NOT (substr(u.email, -16) = '@deleted.invalid' AND u.password_hash = '*')
ON CONFLICT (board_id, user_id) DO UPDATE SET permission = excluded.permission,
  named_by = coalesce(excluded.named_by, named_by);

-- :name board_share_remove
DELETE FROM shared_boards WHERE board_id = %s AND user_id = %s;

-- Who sees what an account owns, fills or was let into: of its boards, of those that are shared with it and of those that its
-- pictures lie on, the owners and the people named; everyone = 1 with the owner of one that all see.
-- :name boards_audience_of
WITH concerned (board_id) AS (
  SELECT board_id FROM boards WHERE user_id = %s
  UNION SELECT board_id FROM shared_boards WHERE user_id = %s
  UNION SELECT bi.board_id FROM images i JOIN board_images bi ON bi.image_name = i.image_name WHERE i.user_id = %s)
SELECT user_id, max(seen) AS everyone FROM (
  SELECT b.user_id, b.board_visibility <> 'private' AS seen FROM concerned c JOIN boards b ON b.board_id = c.board_id
  UNION SELECT s.user_id, 0 FROM concerned c JOIN shared_boards s ON s.board_id = c.board_id)
GROUP BY user_id LIMIT 10000;

-- :name boards_mark_shared
UPDATE boards SET is_shared = 1 - is_shared
WHERE is_shared <> EXISTS (SELECT 1 FROM shared_boards s WHERE s.board_id = boards.board_id);

-- :name board_mark_shared
UPDATE boards SET is_shared = CASE WHEN EXISTS (SELECT 1 FROM shared_boards s WHERE s.board_id = boards.board_id) THEN 1 ELSE 0 END
WHERE board_id = %s;
