-- :name bulk_download_insert
INSERT INTO bulk_downloads (name, user_id, board_id, image_names, created_at) VALUES (%s, %s, %s, %s, %s);

-- One that is not too old.
-- :name bulk_download_get
SELECT name, user_id, board_id, image_names, created_at FROM bulk_downloads WHERE name = %s AND created_at >= %s LIMIT 1;

-- Of one person, the newest first.
-- :name bulk_download_list
SELECT name FROM bulk_downloads WHERE user_id = %s ORDER BY rowid DESC LIMIT 100;

-- :name bulk_download_list_old
SELECT name FROM bulk_downloads WHERE created_at < %s ORDER BY created_at LIMIT 1000;

-- :name bulk_download_delete
DELETE FROM bulk_downloads WHERE name = %s;

-- :name bulk_download_forget
DELETE FROM bulk_downloads WHERE created_at < %s;
