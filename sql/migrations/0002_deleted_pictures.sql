-- Names of pictures whose rows are gone and whose files have still to go. Filled by a trigger, so that deletions that reach a
-- picture through its owner are noted too.
CREATE TABLE deleted_pictures (
  image_name TEXT NOT NULL PRIMARY KEY
);

CREATE TRIGGER images_note_deleted AFTER DELETE ON images
BEGIN
  INSERT OR IGNORE INTO deleted_pictures (image_name) VALUES (old.image_name);
END;
