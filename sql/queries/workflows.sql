-- The workflow library. What a caller sees: own ones and the default ones, administrators all; with ask.shared = 1 everybody's shared
-- ones instead. Conditions that are NULL (or -1) do not count.

-- :name workflow_insert
INSERT INTO workflows (workflow_id, user_id, is_public, name, description, category, tags, workflow, created_at, updated_at)
VALUES (%s, %s, %lld, %s, %s, %s, %s, %s, %s, %s);

-- :name workflow_get
SELECT workflow_id, user_id, is_public, name, description, category, tags, workflow, thumbnail, created_at, updated_at, opened_at
FROM workflows WHERE workflow_id = %s LIMIT 1;

-- :name workflow_update
UPDATE workflows SET name = %s, description = %s, tags = %s, workflow = %s, is_public = %lld, updated_at = %s WHERE workflow_id = %s;

-- :name workflow_opened
UPDATE workflows SET opened_at = %s WHERE workflow_id = %s;

-- :name workflow_thumbnail
UPDATE workflows SET thumbnail = %s, updated_at = %s WHERE workflow_id = %s;

-- Those that go, or get another owner, with an account.
-- :name workflows_of
SELECT workflow_id, is_public FROM workflows WHERE user_id = %s AND category = 'user' LIMIT 10000;

-- :name workflow_delete
DELETE FROM workflows WHERE workflow_id = %s;

-- :part asked
WITH ask (me, sees_all, shared, categories, tags, term, opened, column_name, down) AS
  (SELECT %s, %lld, %lld, %s, %s, %s, %lld, %s, %lld)

-- :part that_match
FROM ask JOIN workflows w ON ask.shared < 0 OR w.is_public = ask.shared
WHERE (ask.shared = 1 OR ask.sees_all = 1 OR w.user_id = ask.me OR w.category = 'default')
  AND (ask.categories IS NULL OR w.category IN (SELECT value FROM json_each(ask.categories)))
  AND (ask.tags IS NULL OR EXISTS (SELECT 1 FROM json_each(ask.tags) t
    WHERE instr(',' || lower(replace(w.tags, ' ', '')) || ',', ',' || lower(replace(t.value, ' ', '')) || ',') > 0 LIMIT 1))
  AND (ask.term IS NULL OR instr(lower(w.name), lower(ask.term)) > 0 OR instr(lower(w.description), lower(ask.term)) > 0
    OR instr(lower(w.tags), lower(ask.term)) > 0)
  AND (ask.opened < 0 OR (w.opened_at IS NOT NULL) = ask.opened)

-- :name workflows_list
-- :use asked
SELECT w.workflow_id, w.user_id, w.is_public, w.name, w.description, w.category, w.tags, w.thumbnail, w.created_at, w.updated_at,
  w.opened_at
-- :use that_match
ORDER BY
  CASE WHEN ask.down = 0 THEN CASE ask.column_name WHEN 'created_at' THEN w.created_at WHEN 'updated_at' THEN w.updated_at
    WHEN 'opened_at' THEN w.opened_at WHEN 'is_public' THEN CAST(w.is_public AS TEXT) ELSE lower(w.name) END END,
  CASE WHEN ask.down = 1 THEN CASE ask.column_name WHEN 'created_at' THEN w.created_at WHEN 'updated_at' THEN w.updated_at
    WHEN 'opened_at' THEN w.opened_at WHEN 'is_public' THEN CAST(w.is_public AS TEXT) ELSE lower(w.name) END END DESC,
  w.workflow_id
LIMIT %lld OFFSET %lld;

-- :name workflows_facets
-- :use asked
SELECT w.category, w.tags
-- :use that_match
LIMIT 100000;

-- :name workflow_previews_after
SELECT thumbnail AS name FROM workflows WHERE thumbnail > %s ORDER BY thumbnail LIMIT 10000;
