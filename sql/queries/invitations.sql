-- :name invitation_insert
INSERT INTO user_invitations (invitation_id, email, display_name, is_admin, token_hash, invited_by_user_id, expires_at,
  created_at)
VALUES (%s, %s, %s, %d, %s, %s, %s, %s);

-- :name invitation_account
SELECT i.invitation_id, u.user_id, u.email, u.display_name, i.used_at IS NOT NULL AS used, i.expires_at <= %s AS expired
FROM user_invitations i JOIN users u ON u.email = i.email WHERE i.token_hash = %s AND u.user_id <> 'system' LIMIT 1;

-- :name invitation_use
UPDATE user_invitations SET used_at = %s WHERE invitation_id = %s AND used_at IS NULL;

-- Links that are open for an account, when a new one is made or they are not needed any more.
-- :name invitation_revoke
DELETE FROM user_invitations WHERE email = (SELECT email FROM users WHERE user_id = %s) AND used_at IS NULL;
