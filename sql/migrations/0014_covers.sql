-- A cover goes with its picture, however that goes.
UPDATE boards SET cover_image_name = NULL
WHERE cover_image_name IS NOT NULL AND NOT EXISTS (SELECT 1 FROM images i WHERE i.image_name = boards.cover_image_name);
CREATE INDEX idx_boards_cover ON boards(cover_image_name) WHERE cover_image_name IS NOT NULL;
CREATE TRIGGER images_leave_covers AFTER DELETE ON images
BEGIN
  UPDATE boards SET cover_image_name = NULL WHERE cover_image_name = OLD.image_name;
END;
