-- Style presets. What a caller sees: own, public and default ones, administrators all.

-- :name style_preset_insert
INSERT INTO style_presets (id, user_id, is_public, name, preset_data, type, image, created_at, updated_at)
VALUES (%s, %s, %lld, %s, %s, %s, %s, %s, %s);

-- :name style_preset_get
SELECT id, user_id, is_public, name, preset_data, type, image, updated_at FROM style_presets WHERE id = %s LIMIT 1;

-- :name style_preset_update
UPDATE style_presets SET name = %s, preset_data = %s, type = %s, is_public = %lld, image = %s, updated_at = %s WHERE id = %s;

-- :name style_preset_delete
DELETE FROM style_presets WHERE id = %s;

-- :name style_presets_list
WITH ask (me, sees_all) AS (SELECT %s, %lld)
SELECT s.id, s.user_id, s.is_public, s.name, s.preset_data, s.type, s.image, s.updated_at
FROM ask JOIN style_presets s ON ask.sees_all = 1 OR s.user_id = ask.me OR s.is_public = 1 OR s.type = 'default'
ORDER BY lower(s.name), s.id LIMIT 10000;

-- :name style_preset_previews_after
SELECT image AS name FROM style_presets WHERE image > %s ORDER BY image LIMIT 10000;
