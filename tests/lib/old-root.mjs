// A small InvokeAI root as an older or newer version of it leaves one, to be taken in. Made from scratch, by SQL of ours: the tables
// and columns that are read, and some of what real ones have besides.
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { makePng } from './png.mjs';

const TIME = '2025-03-04 05:06:07.890';
const text = (value) => (value === null || value === undefined ? 'NULL' : typeof value === 'number' ? String(value) : `'${String(value).replaceAll("'", "''")}'`);

const COMMON = `
PRAGMA journal_mode = WAL;
CREATE TABLE migrations (version INTEGER PRIMARY KEY, migrated_at DATETIME);
CREATE TABLE images (image_name TEXT PRIMARY KEY, image_origin TEXT, image_category TEXT, width INTEGER, height INTEGER, session_id TEXT,
  node_id TEXT, metadata TEXT, is_intermediate BOOLEAN DEFAULT FALSE, created_at DATETIME, updated_at DATETIME, deleted_at DATETIME,
  starred BOOLEAN DEFAULT FALSE, has_workflow BOOLEAN DEFAULT FALSE);
CREATE TABLE boards (board_id TEXT PRIMARY KEY, board_name TEXT, cover_image_name TEXT, created_at DATETIME, updated_at DATETIME,
  deleted_at DATETIME, archived BOOLEAN DEFAULT FALSE);
CREATE TABLE board_images (board_id TEXT, image_name TEXT PRIMARY KEY, created_at DATETIME, updated_at DATETIME, deleted_at DATETIME);
CREATE TABLE workflow_library (workflow_id TEXT PRIMARY KEY, workflow TEXT, created_at DATETIME, updated_at DATETIME, opened_at DATETIME,
  category TEXT DEFAULT 'user', name TEXT, description TEXT, tags TEXT);
CREATE TABLE style_presets (id TEXT PRIMARY KEY, name TEXT, preset_data TEXT, type TEXT DEFAULT 'user', created_at DATETIME, updated_at DATETIME);
CREATE TABLE models (id TEXT PRIMARY KEY, hash TEXT, base TEXT, type TEXT, path TEXT, name TEXT, config TEXT, created_at DATETIME,
  updated_at DATETIME);
CREATE TABLE model_relationships (model_key_1 TEXT, model_key_2 TEXT, created_at DATETIME);
CREATE TABLE session_queue (item_id INTEGER PRIMARY KEY, batch_id TEXT, queue_id TEXT, session_id TEXT, field_values TEXT, session TEXT,
  workflow TEXT, status TEXT DEFAULT 'pending', priority INTEGER DEFAULT 0, error_type TEXT, error_message TEXT, error_traceback TEXT,
  created_at DATETIME, updated_at DATETIME, started_at DATETIME, completed_at DATETIME, origin TEXT, destination TEXT,
  retried_from_item_id INTEGER);`;

// What came with accounts.
const ACCOUNTS = `
CREATE TABLE users (user_id TEXT PRIMARY KEY, email TEXT, display_name TEXT, password_hash TEXT, is_admin BOOLEAN, is_active BOOLEAN,
  created_at DATETIME, updated_at DATETIME, last_login_at DATETIME);
CREATE TABLE shared_boards (board_id TEXT, user_id TEXT, can_edit BOOLEAN, shared_at DATETIME);
CREATE TABLE client_state (user_id TEXT, key TEXT, value TEXT, updated_at DATETIME);
CREATE TABLE app_settings (key TEXT PRIMARY KEY, value TEXT);
INSERT INTO users VALUES ('system', 'system@system.invokeai', 'System', '', 0, 1, '${TIME}', '${TIME}', NULL);
INSERT INTO app_settings VALUES ('jwt_secret', 'x');
ALTER TABLE images ADD COLUMN user_id TEXT DEFAULT 'system';
ALTER TABLE boards ADD COLUMN user_id TEXT DEFAULT 'system';
ALTER TABLE boards ADD COLUMN is_public BOOLEAN DEFAULT FALSE;
ALTER TABLE boards ADD COLUMN board_visibility TEXT DEFAULT 'private';
ALTER TABLE workflow_library ADD COLUMN user_id TEXT DEFAULT 'system';
ALTER TABLE workflow_library ADD COLUMN is_public BOOLEAN DEFAULT FALSE;
ALTER TABLE style_presets ADD COLUMN user_id TEXT DEFAULT 'system';
ALTER TABLE style_presets ADD COLUMN is_public BOOLEAN DEFAULT FALSE;
ALTER TABLE session_queue ADD COLUMN user_id TEXT DEFAULT 'system';`;

// What the version after it added.
const LATER = `
ALTER TABLE users ADD COLUMN token_epoch INTEGER DEFAULT 0;
ALTER TABLE images ADD COLUMN image_subfolder TEXT DEFAULT '';
ALTER TABLE session_queue ADD COLUMN device TEXT;
CREATE TABLE videos (video_name TEXT PRIMARY KEY);
CREATE TABLE system_prompts (id TEXT PRIMARY KEY, name TEXT, content TEXT);
INSERT INTO videos VALUES ('film.mp4');
INSERT INTO system_prompts VALUES ('1', 'Be brief', '');`;

const VERSIONS = { 5: [20, COMMON], '6.12': [29, COMMON + ACCOUNTS], '6.14': [33, COMMON + ACCOUNTS + LATER] };

export class OldRoot {
    /** An empty root in folder `root`, as version 5, 6.12 or 6.14 makes it. */
    constructor(root, version) {
        this.root = root;
        this.version = version;
        this.statements = [];
        const [number, tables] = VERSIONS[version];
        for (const dir of ['databases', 'outputs/images/thumbnails', 'models', 'style_presets', 'workflow_thumbnails']) {
            fs.mkdirSync(path.join(root, dir), { recursive: true });
        }
        fs.writeFileSync(path.join(root, 'invokeai.yaml'), `schema_version: 4.0.2\n\nmultiuser: ${version !== '5'}  # as it was\nport: "9090"\n`);
        this.sql(`${tables} INSERT INTO migrations VALUES (${number}, '${TIME}');`);
    }

    get database() {
        return path.join(this.root, 'databases/invokeai.db');
    }

    sql(statements) {
        execFileSync('sqlite3', [this.database], { input: statements, stdio: ['pipe', 'ignore', 'inherit'] });
    }

    /** A row; columns that this version has not are left out. */
    row(table, values) {
        this.columns ??= {};
        this.columns[table] ??= execFileSync('sqlite3', [this.database, `SELECT name FROM pragma_table_info('${table}')`], { encoding: 'utf8' }).trim().split('\n');
        const names = Object.keys(values).filter((name) => this.columns[table].includes(name));
        this.statements.push(`INSERT INTO ${table} (${names}) VALUES (${names.map((n) => text(values[n]))});`);
    }

    /** Writes the rows that were collected. */
    done() {
        this.sql(`BEGIN; ${this.statements.join('\n')} COMMIT;`);
        this.statements = [];
    }

    /** A picture with its row and files, each of which can be left out. */
    picture(name, { board, file = true, thumbnail, subfolder = '', size = 12, chunks, ...values } = {}) {
        const times = { created_at: TIME, updated_at: TIME };
        this.row('images', { image_name: name, image_origin: 'internal', image_category: 'general', width: size, height: size, image_subfolder: subfolder, ...times, ...values });
        if (board) {
            this.row('board_images', { board_id: board, image_name: name, ...times });
        }
        const folder = path.join(this.root, 'outputs/images');
        for (const dir of [path.join(folder, subfolder), path.join(folder, 'thumbnails', subfolder)]) {
            fs.mkdirSync(dir, { recursive: true });
        }
        if (file) {
            fs.writeFileSync(path.join(folder, subfolder, name), makePng(size, size, chunks ? { text: chunks } : {}));
        }
        if (file && thumbnail) {
            fs.writeFileSync(path.join(folder, 'thumbnails', subfolder, name.replace('.png', '.webp')), thumbnail);
        }
    }
}

export { TIME };
