-- Pictures. The lists come in three scopes, so that each can use its index: those on one board (scope is its id), one
-- person's (scope is the user's id), and everybody's (scope is NULL). loose = 1 keeps only those on no board; loose = 2 also those
-- on boards that this person does not see (any more). Every other
-- condition that is NULL (or -1 for intermediate) does not count.

-- :part asked
WITH ask (scope, loose, origin, categories, intermediate, term, day, starred_first, down) AS
  (SELECT %s, %lld, %s, %s, %lld, %s, %s, %lld, %lld)

-- :part picture
SELECT i.image_name, i.user_id, i.image_origin, i.image_category, i.image_subfolder, i.width, i.height, i.session_id, i.node_id,
  i.is_intermediate, i.starred, i.has_workflow, i.created_at, i.updated_at, bi.board_id

-- :part of_a_board
FROM ask
JOIN board_images bi ON bi.board_id = ask.scope
JOIN images i ON i.image_name = bi.image_name
WHERE (ask.origin IS NULL OR i.image_origin = ask.origin)
  AND (ask.categories IS NULL OR instr(ask.categories, ',' || i.image_category || ',') > 0)
  AND (ask.intermediate < 0 OR i.is_intermediate = ask.intermediate)
  AND (ask.day IS NULL OR substr(i.created_at, 1, 10) = ask.day)
  AND (ask.term IS NULL OR instr(lower(coalesce(i.metadata, '')), lower(ask.term)) > 0 OR instr(i.created_at, ask.term) > 0)

-- :part that_match
LEFT JOIN board_images bi ON bi.image_name = i.image_name
WHERE (ask.loose = 0 OR bi.board_id IS NULL OR ask.loose = 2 AND bi.board_id NOT IN (
    SELECT b.board_id FROM ask AS viewer JOIN boards b
    LEFT JOIN shared_boards sb ON sb.board_id = b.board_id AND sb.user_id = viewer.scope
    WHERE b.user_id = viewer.scope OR b.board_visibility <> 'private' OR sb.permission IS NOT NULL))
  AND (ask.origin IS NULL OR i.image_origin = ask.origin)
  AND (ask.categories IS NULL OR instr(ask.categories, ',' || i.image_category || ',') > 0)
  AND (ask.intermediate < 0 OR i.is_intermediate = ask.intermediate)
  AND (ask.day IS NULL OR substr(i.created_at, 1, 10) = ask.day)
  AND (ask.term IS NULL OR instr(lower(coalesce(i.metadata, '')), lower(ask.term)) > 0 OR instr(i.created_at, ask.term) > 0)

-- :part in_order
ORDER BY CASE WHEN ask.starred_first = 1 THEN i.starred ELSE 0 END DESC,
  CASE WHEN ask.down = 1 THEN i.created_at END DESC, CASE WHEN ask.down = 0 THEN i.created_at END, i.image_name

-- :part picture_with_access
SELECT i.image_name, i.user_id, i.image_origin, i.image_category, i.image_subfolder, i.width, i.height, i.session_id, i.node_id,
  i.is_intermediate, i.starred, i.has_workflow, i.created_at, i.updated_at, bi.board_id,
  CASE WHEN json_valid(i.metadata) AND json_type(i.metadata, '$.positive_prompt') = 'text'
    THEN NULLIF(trim(substr(i.metadata ->> '$.positive_prompt', 1, 300)), '') END AS prompt,
  b.user_id AS board_owner, b.board_visibility, sb.permission, coalesce(nullif(u.display_name, ''), u.email) AS owner_name
FROM images i
LEFT JOIN users u ON u.user_id = i.user_id
LEFT JOIN board_images bi ON bi.image_name = i.image_name
LEFT JOIN boards b ON b.board_id = bi.board_id
LEFT JOIN shared_boards sb ON sb.board_id = b.board_id AND sb.user_id = %s

-- :name images_board_list
-- :use asked
-- :use picture
-- :use of_a_board
-- :use in_order
LIMIT %lld OFFSET %lld;

-- :name images_board_names
-- :use asked
SELECT i.image_name, i.starred
-- :use of_a_board
-- :use in_order
LIMIT 1000000;

-- :name images_board_count
-- :use asked
SELECT count(*) AS total
-- :use of_a_board
LIMIT 1;

-- :name images_own_list
-- :use asked
-- :use picture
FROM ask
JOIN images i ON i.user_id = ask.scope
-- :use that_match
-- :use in_order
LIMIT %lld OFFSET %lld;

-- :name images_own_names
-- :use asked
SELECT i.image_name, i.starred
FROM ask
JOIN images i ON i.user_id = ask.scope
-- :use that_match
-- :use in_order
LIMIT 1000000;

-- :name images_own_count
-- :use asked
SELECT count(*) AS total
FROM ask
JOIN images i ON i.user_id = ask.scope
-- :use that_match
LIMIT 1;

-- :name images_all_list
-- :use asked
-- :use picture
FROM ask
JOIN images i ON ask.scope IS NULL
-- :use that_match
-- :use in_order
LIMIT %lld OFFSET %lld;

-- :name images_all_names
-- :use asked
SELECT i.image_name, i.starred
FROM ask
JOIN images i ON ask.scope IS NULL
-- :use that_match
-- :use in_order
LIMIT 1000000;

-- :name images_all_count
-- :use asked
SELECT count(*) AS total
FROM ask
JOIN images i ON ask.scope IS NULL
-- :use that_match
LIMIT 1;

-- :name image_get
-- :use picture_with_access
WHERE i.image_name = %s LIMIT 1;

-- :name images_by_names
-- :use picture_with_access
WHERE i.image_name IN (SELECT value FROM json_each(%s)) LIMIT 100000;

-- :name image_insert
INSERT INTO images (image_name, user_id, image_origin, image_category, width, height, session_id, node_id, metadata,
  is_intermediate, has_workflow, created_at, updated_at)
VALUES (%s, %s, %s, %s, %lld, %lld, %s, %s, %s, %lld, %lld, %s, %s);

-- :name image_documents_insert
INSERT INTO image_documents (image_name, workflow, graph) VALUES (%s, %s, %s);

-- :name image_exists
SELECT image_name FROM images WHERE image_name = %s LIMIT 1;

-- A board that has gone meanwhile leaves the picture where it is.
-- :name image_onto_board
INSERT INTO board_images (image_name, board_id, created_at, updated_at)
SELECT %s, board_id, %s, %s FROM boards WHERE board_id = %s LIMIT 1;

-- :name image_metadata
SELECT metadata FROM images WHERE image_name = %s LIMIT 1;

-- :name image_documents
SELECT workflow, graph FROM image_documents WHERE image_name = %s LIMIT 1;

-- What is NULL stays as it is.
-- :name image_update
UPDATE images SET image_category = coalesce(%s, image_category), session_id = coalesce(%s, session_id),
  is_intermediate = coalesce(CAST(%s AS INTEGER), is_intermediate), starred = coalesce(CAST(%s AS INTEGER), starred),
  updated_at = %s
WHERE image_name = %s;

-- :name images_star
UPDATE images SET starred = %lld, updated_at = %s WHERE image_name IN (SELECT value FROM json_each(%s));

-- :name images_delete
DELETE FROM images WHERE image_name IN (SELECT value FROM json_each(%s));

-- :name images_intermediate_names
SELECT image_name FROM images WHERE is_intermediate = 1 LIMIT 1000;

-- :name images_intermediate_count
WITH ask (me) AS (SELECT %s)
SELECT count(*) AS total FROM ask JOIN images i ON i.is_intermediate = 1 AND (ask.me IS NULL OR i.user_id = ask.me) LIMIT 1;

-- Files of deleted pictures, and what the sweep at start-up compares.

-- :name deleted_pictures_list
SELECT image_name FROM deleted_pictures LIMIT 1000;

-- :name deleted_pictures_forget
DELETE FROM deleted_pictures WHERE image_name IN (SELECT value FROM json_each(%s));

-- :name images_names_after
SELECT image_name FROM images WHERE image_name > %s ORDER BY image_name LIMIT 10000;
