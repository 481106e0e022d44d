-- Pictures of attempts that a worker did not live to end. They stay until another attempt has made them anew.
CREATE TABLE replaced_pictures (
  image_name TEXT NOT NULL PRIMARY KEY REFERENCES images(image_name) ON DELETE CASCADE,
  item_id INTEGER NOT NULL REFERENCES session_queue(item_id) ON DELETE CASCADE
);
CREATE INDEX idx_replaced_pictures_item ON replaced_pictures(item_id);
