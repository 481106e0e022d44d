-- :name invitation_insert
INSERT INTO user_invitations (invitation_id, email, display_name, is_admin, token_hash, invited_by_user_id, expires_at,
  created_at)
VALUES (%s, %s, %s, %d, %s, %s, %s, %s);

-- :name invitation_account
SELECT i.invitation_id, u.user_id, u.email, u.display_name, i.used_at IS NOT NULL AS used, i.expires_at <= %s AS expired,
  u.is_active
FROM user_invitations i JOIN users u ON u.email = i.email WHERE i.token_hash = %s AND u.user_id <> 'system' LIMIT 1;

-- :name invitation_use
UPDATE user_invitations SET used_at = %s WHERE invitation_id = %s AND used_at IS NULL
  AND EXISTS (SELECT 1 FROM users u WHERE u.email = user_invitations.email AND u.is_active = 1 AND u.user_id = %s);

-- :name invitation_used
SELECT used_at FROM user_invitations WHERE invitation_id = %s AND used_at IS NOT NULL LIMIT 1;

-- Links that are open for an account, when a new one is made or they are not needed any more.
-- :name invitation_revoke
DELETE FROM user_invitations WHERE email = (SELECT email FROM users WHERE user_id = %s) AND used_at IS NULL;

-- Whose account goes with the link to it: somebody who was invited, never chose a password and owns nothing. An account that came
-- from elsewhere without a password is marked otherwise.
-- :part merely_invited
  u.password_hash = '*' AND u.last_login_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM boards o WHERE o.user_id = u.user_id)
  AND NOT EXISTS (SELECT 1 FROM images o WHERE o.user_id = u.user_id)
  AND NOT EXISTS (SELECT 1 FROM workflows o WHERE o.user_id = u.user_id)
  AND NOT EXISTS (SELECT 1 FROM style_presets o WHERE o.user_id = u.user_id)
  AND NOT EXISTS (SELECT 1 FROM client_state o WHERE o.user_id = u.user_id)
  AND NOT EXISTS (SELECT 1 FROM session_queue o WHERE o.user_id = u.user_id)
  AND NOT EXISTS (SELECT 1 FROM shared_boards o WHERE o.named_by = u.user_id)
  AND NOT EXISTS (SELECT 1 FROM bulk_downloads o WHERE o.user_id = u.user_id)

-- Links that nobody has used yet.
-- :name invitation_list
SELECT i.invitation_id, u.user_id, u.email, u.display_name, u.is_admin, i.invited_by_user_id, i.created_at, i.expires_at,
  i.expires_at <= %s AS expired, CASE WHEN
-- :use merely_invited
  THEN 'invitation' ELSE 'reset' END AS purpose
FROM user_invitations i JOIN users u ON u.email = i.email
WHERE i.used_at IS NULL AND u.user_id <> 'system' ORDER BY i.created_at DESC, i.invitation_id LIMIT 10000;

-- :name invitation_open
SELECT i.invitation_id, u.user_id, u.email, CASE WHEN
-- :use merely_invited
  THEN 'invitation' ELSE 'reset' END AS purpose
FROM user_invitations i JOIN users u ON u.email = i.email
WHERE i.invitation_id = %s AND i.used_at IS NULL AND u.user_id <> 'system' LIMIT 1;

-- :name invitation_delete
DELETE FROM user_invitations WHERE invitation_id = %s AND used_at IS NULL;

-- Links that people asked for themselves. Those of administrators stay: nobody else can end them.
-- :name invitation_revoke_own
DELETE FROM user_invitations WHERE email = (SELECT email FROM users WHERE user_id = %s) AND invited_by_user_id = %s
  AND used_at IS NULL;
