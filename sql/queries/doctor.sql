-- What invokemu doctor looks for in the database: for each fault one statement that counts it and one that mends it.

-- :name doctor_damage
SELECT quick_check AS problem FROM pragma_quick_check(20) LIMIT 20;

-- :name doctor_picture_row
SELECT json_object('picture', (SELECT json_object('image_name', i.image_name, 'user_id', i.user_id, 'image_origin', i.image_origin,
    'image_category', i.image_category, 'width', i.width, 'height', i.height, 'session_id', i.session_id, 'node_id', i.node_id,
    'metadata', i.metadata, 'is_intermediate', i.is_intermediate, 'starred', i.starred, 'created_at', i.created_at,
    'updated_at', i.updated_at) FROM images i WHERE i.image_name = n.name),
  'workflow', (SELECT d.workflow FROM image_documents d WHERE d.image_name = n.name),
  'graph', (SELECT d.graph FROM image_documents d WHERE d.image_name = n.name),
  'board', (SELECT json_object('board_id', b.board_id, 'board_name', b.board_name) FROM board_images bi
    JOIN boards b ON b.board_id = bi.board_id WHERE bi.image_name = n.name)) AS record
FROM (SELECT %s AS name) AS n WHERE EXISTS (SELECT 1 FROM images i WHERE i.image_name = n.name) LIMIT 1;

-- :part shares
WHERE NOT EXISTS (SELECT 1 FROM boards p WHERE p.board_id = shared_boards.board_id)
  OR NOT EXISTS (SELECT 1 FROM users p WHERE p.user_id = shared_boards.user_id)
  OR EXISTS (SELECT 1 FROM boards p WHERE p.board_id = shared_boards.board_id AND p.user_id = shared_boards.user_id)

-- :name doctor_shares_count
SELECT COUNT(*) AS n FROM shared_boards
-- :use shares
LIMIT 1;

-- :name doctor_shares_mend
DELETE FROM shared_boards
-- :use shares

-- :part places
WHERE NOT EXISTS (SELECT 1 FROM boards p WHERE p.board_id = board_images.board_id)
  OR NOT EXISTS (SELECT 1 FROM images p WHERE p.image_name = board_images.image_name)

-- :name doctor_places_count
SELECT COUNT(*) AS n FROM board_images
-- :use places
LIMIT 1;

-- :name doctor_places_mend
DELETE FROM board_images
-- :use places

-- :part documents
WHERE NOT EXISTS (SELECT 1 FROM images p WHERE p.image_name = image_documents.image_name)

-- :name doctor_documents_count
SELECT COUNT(*) AS n FROM image_documents
-- :use documents
LIMIT 1;

-- :name doctor_documents_mend
DELETE FROM image_documents
-- :use documents

-- :part states
WHERE NOT EXISTS (SELECT 1 FROM users p WHERE p.user_id = client_state.user_id)

-- :name doctor_states_count
SELECT COUNT(*) AS n FROM client_state
-- :use states
LIMIT 1;

-- :name doctor_states_mend
DELETE FROM client_state
-- :use states

-- :part sessions
WHERE NOT EXISTS (SELECT 1 FROM users p WHERE p.user_id = user_sessions.user_id) OR expires_at < %s

-- :name doctor_sessions_count
SELECT COUNT(*) AS n FROM user_sessions
-- :use sessions
LIMIT 1;

-- :name doctor_sessions_mend
DELETE FROM user_sessions
-- :use sessions

-- :part links
WHERE NOT EXISTS (SELECT 1 FROM users p WHERE p.email = user_invitations.email)

-- :name doctor_links_count
SELECT COUNT(*) AS n FROM user_invitations
-- :use links
LIMIT 1;

-- :name doctor_links_mend
DELETE FROM user_invitations
-- :use links

-- Who may come in does not hang on who invited them.
-- :part inviters
WHERE invited_by_user_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM users p WHERE p.user_id = user_invitations.invited_by_user_id)

-- :name doctor_inviters_count
SELECT COUNT(*) AS n FROM user_invitations
-- :use inviters
LIMIT 1;

-- :name doctor_inviters_mend
UPDATE user_invitations SET invited_by_user_id = NULL
-- :use inviters

-- What has expired of somebody who never had a password is still an invitation that administrators see, make anew or end.
-- :part old_links
WHERE COALESCE(used_at, CASE WHEN NOT EXISTS (SELECT 1 FROM users p WHERE p.email = user_invitations.email
  AND p.password_hash = '*' AND p.last_login_at IS NULL) THEN expires_at END) < %s

-- :name doctor_old_links_count
SELECT COUNT(*) AS n FROM user_invitations
-- :use old_links
LIMIT 1;

-- :name doctor_old_links_mend
DELETE FROM user_invitations
-- :use old_links

-- :part networks
WHERE NOT EXISTS (SELECT 1 FROM users p WHERE p.user_id = known_networks.user_id)

-- :name doctor_networks_count
SELECT COUNT(*) AS n FROM known_networks
-- :use networks
LIMIT 1;

-- :name doctor_networks_mend
DELETE FROM known_networks
-- :use networks

-- :part addresses
WHERE NOT EXISTS (SELECT 1 FROM users p WHERE p.user_id = email_changes.user_id) OR expires_at < %s

-- :name doctor_addresses_count
SELECT COUNT(*) AS n FROM email_changes
-- :use addresses
LIMIT 1;

-- :name doctor_addresses_mend
DELETE FROM email_changes
-- :use addresses

-- :part downloads
WHERE NOT EXISTS (SELECT 1 FROM users p WHERE p.user_id = bulk_downloads.user_id) OR created_at < %s

-- :name doctor_downloads_count
SELECT COUNT(*) AS n FROM bulk_downloads
-- :use downloads
LIMIT 1;

-- :name doctor_downloads_mend
DELETE FROM bulk_downloads
-- :use downloads

-- :part turns
WHERE NOT EXISTS (SELECT 1 FROM users p WHERE p.user_id = queue_turns.user_id)

-- :name doctor_turns_count
SELECT COUNT(*) AS n FROM queue_turns
-- :use turns
LIMIT 1;

-- :name doctor_turns_mend
DELETE FROM queue_turns
-- :use turns

-- :part relations
WHERE NOT EXISTS (SELECT 1 FROM models p WHERE p.key = model_relationships.model_key_1)
  OR NOT EXISTS (SELECT 1 FROM models p WHERE p.key = model_relationships.model_key_2)

-- :name doctor_relations_count
SELECT COUNT(*) AS n FROM model_relationships
-- :use relations
LIMIT 1;

-- :name doctor_relations_mend
DELETE FROM model_relationships
-- :use relations

-- :part replaced
WHERE NOT EXISTS (SELECT 1 FROM images p WHERE p.image_name = replaced_pictures.image_name)
  OR NOT EXISTS (SELECT 1 FROM session_queue p WHERE p.item_id = replaced_pictures.item_id)

-- :name doctor_replaced_count
SELECT COUNT(*) AS n FROM replaced_pictures
-- :use replaced
LIMIT 1;

-- :name doctor_replaced_mend
DELETE FROM replaced_pictures
-- :use replaced

-- :part slices
WHERE queue_id >= '/' AND queue_id < '0' AND created_at < %s

-- :name doctor_slices_count
SELECT COUNT(*) AS n FROM session_queue
-- :use slices
LIMIT 1;

-- :name doctor_slices_mend
DELETE FROM session_queue
-- :use slices

-- :part mails
WHERE state <> 'waiting' AND ended_at < %s

-- :name doctor_mails_count
SELECT COUNT(*) AS n FROM mail_queue
-- :use mails
LIMIT 1;

-- :name doctor_mails_mend
DELETE FROM mail_queue
-- :use mails

-- :part ownerless_pictures
WHERE NOT EXISTS (SELECT 1 FROM users p WHERE p.user_id = images.user_id)

-- :name doctor_ownerless_pictures_count
SELECT COUNT(*) AS n FROM images
-- :use ownerless_pictures
LIMIT 1;

-- :name doctor_ownerless_pictures_mend
UPDATE images SET user_id = 'system'
-- :use ownerless_pictures

-- :part ownerless_boards
WHERE NOT EXISTS (SELECT 1 FROM users p WHERE p.user_id = boards.user_id)

-- :name doctor_ownerless_boards_count
SELECT COUNT(*) AS n FROM boards
-- :use ownerless_boards
LIMIT 1;

-- :name doctor_ownerless_boards_mend
UPDATE boards SET user_id = 'system'
-- :use ownerless_boards

-- :part ownerless_workflows
WHERE NOT EXISTS (SELECT 1 FROM users p WHERE p.user_id = workflows.user_id)

-- :name doctor_ownerless_workflows_count
SELECT COUNT(*) AS n FROM workflows
-- :use ownerless_workflows
LIMIT 1;

-- :name doctor_ownerless_workflows_mend
UPDATE workflows SET user_id = 'system'
-- :use ownerless_workflows

-- :part ownerless_presets
WHERE NOT EXISTS (SELECT 1 FROM users p WHERE p.user_id = style_presets.user_id)

-- :name doctor_ownerless_presets_count
SELECT COUNT(*) AS n FROM style_presets
-- :use ownerless_presets
LIMIT 1;

-- :name doctor_ownerless_presets_mend
UPDATE style_presets SET user_id = 'system'
-- :use ownerless_presets

-- :part ownerless_jobs
WHERE NOT EXISTS (SELECT 1 FROM users p WHERE p.user_id = session_queue.user_id)

-- :name doctor_ownerless_jobs_count
SELECT COUNT(*) AS n FROM session_queue
-- :use ownerless_jobs
LIMIT 1;

-- :name doctor_ownerless_jobs_mend
UPDATE session_queue SET user_id = 'system'
-- :use ownerless_jobs

-- :part makers
WHERE created_by_user_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM users p WHERE p.user_id = boards.created_by_user_id)

-- :name doctor_makers_count
SELECT COUNT(*) AS n FROM boards
-- :use makers
LIMIT 1;

-- :name doctor_makers_mend
UPDATE boards SET created_by_user_id = NULL
-- :use makers

-- :part namers
WHERE named_by IS NOT NULL AND NOT EXISTS (SELECT 1 FROM users p WHERE p.user_id = shared_boards.named_by)

-- :name doctor_namers_count
SELECT COUNT(*) AS n FROM shared_boards
-- :use namers
LIMIT 1;

-- :name doctor_namers_mend
UPDATE shared_boards SET named_by = NULL
-- :use namers

-- :part covers
WHERE cover_image_name IS NOT NULL AND NOT EXISTS (SELECT 1 FROM images p WHERE p.image_name = boards.cover_image_name)

-- :name doctor_covers_count
SELECT COUNT(*) AS n FROM boards
-- :use covers
LIMIT 1;

-- :name doctor_covers_mend
UPDATE boards SET cover_image_name = NULL
-- :use covers

-- :part share_marks
WHERE is_shared <> EXISTS (SELECT 1 FROM shared_boards s WHERE s.board_id = boards.board_id)

-- :name doctor_share_marks_count
SELECT COUNT(*) AS n FROM boards
-- :use share_marks
LIMIT 1;

-- :name doctor_share_marks_mend
UPDATE boards SET is_shared = 1 - is_shared
-- :use share_marks

-- :part workflow_marks
WHERE has_workflow <> EXISTS (SELECT 1 FROM image_documents d WHERE d.image_name = images.image_name
  AND d.workflow IS NOT NULL)

-- :name doctor_workflow_marks_count
SELECT COUNT(*) AS n FROM images
-- :use workflow_marks
LIMIT 1;

-- :name doctor_workflow_marks_mend
UPDATE images SET has_workflow = 1 - has_workflow
-- :use workflow_marks

-- Texts that people, other programs and other servers may have written, a page of them behind a key: what is no UTF-8 is for
-- the program to find.

-- :name doctor_text_people
SELECT user_id AS key, display_name AS text FROM users WHERE user_id > %s ORDER BY user_id LIMIT 500;

-- :name doctor_text_people_mend
UPDATE users SET display_name = %s WHERE user_id = %s;

-- :name doctor_text_boards
SELECT board_id AS key, board_name AS text FROM boards WHERE board_id > %s ORDER BY board_id LIMIT 500;

-- :name doctor_text_boards_mend
UPDATE boards SET board_name = %s WHERE board_id = %s;

-- :name doctor_text_workflows
SELECT workflow_id AS key, name AS text FROM workflows WHERE workflow_id > %s ORDER BY workflow_id LIMIT 500;

-- :name doctor_text_workflows_mend
UPDATE workflows SET name = %s WHERE workflow_id = %s;

-- :name doctor_text_descriptions
SELECT workflow_id AS key, description AS text FROM workflows WHERE workflow_id > %s ORDER BY workflow_id LIMIT 500;

-- :name doctor_text_descriptions_mend
UPDATE workflows SET description = %s WHERE workflow_id = %s;

-- :name doctor_text_tags
SELECT workflow_id AS key, tags AS text FROM workflows WHERE workflow_id > %s ORDER BY workflow_id LIMIT 500;

-- :name doctor_text_tags_mend
UPDATE workflows SET tags = %s WHERE workflow_id = %s;

-- :name doctor_text_presets
SELECT id AS key, name AS text FROM style_presets WHERE id > %s ORDER BY id LIMIT 500;

-- :name doctor_text_presets_mend
UPDATE style_presets SET name = %s WHERE id = %s;

-- :name doctor_text_models
SELECT key AS key, name AS text FROM models WHERE key > %s ORDER BY key LIMIT 500;

-- :name doctor_text_models_mend
UPDATE models SET name = %s WHERE key = %s;

-- :name doctor_text_entries
SELECT entry_id AS key, target_name AS text FROM audit_log
WHERE entry_id > CAST(%s AS INTEGER) AND target_name IS NOT NULL ORDER BY entry_id LIMIT 500;

-- :name doctor_text_entries_mend
UPDATE audit_log SET target_name = %s WHERE entry_id = CAST(%s AS INTEGER);
