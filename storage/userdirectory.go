package storage

import (
	"context"
	"database/sql"
	"strings"

	"rempart/internal/matrix"
	"rempart/internal/words"
)

// directoryWords is a name as it is searched: folded words, each behind a space.
func directoryWords(name string) string {
	list := words.Of(name)
	if len(list) == 0 {
		return ""
	}
	return " " + strings.Join(list, " ")
}

// RemoteNameRow notes what a user of another server is called.
type RemoteNameRow struct {
	User                   int64
	DisplayName, AvatarURL string
}

var remoteNamesTable = newTable("remote_names", "usr:i display_name:t avatar_url:t words:t", 1, "update")

func (*RemoteNameRow) table() *table { return remoteNamesTable }
func (r *RemoteNameRow) args(dst []any) []any {
	return append(dst, r.User, r.DisplayName, r.AvatarURL, directoryWords(r.DisplayName))
}

// Person is an entry of the user directory.
type Person struct {
	ID                     matrix.UserID
	DisplayName, AvatarURL string
}

// maxNameWords bounds how many words of a term are looked for.
const maxNameWords = 6

// afterPrefix follows all texts that begin alike: no id has this rune.
const afterPrefix = "\U0010ffff"

// SearchPeople lists whom a searcher may find: accounts of his tenant, members of rooms that he is in, and members of
// published rooms, whose id begins with the term or whose names have words that begin with each of the term's words.
func (db *DB) SearchPeople(ctx context.Context, searcher, tenant int64, term string, limit int) ([]Person, error) {
	term = strings.ToLower(strings.TrimSpace(term))
	id := strings.TrimPrefix(term, "@")
	if id == "" {
		return nil, nil
	}
	args := []any{searcher, tenant, "@" + id, "@" + id + afterPrefix, int64(limit)}
	found := `SELECT nid FROM user_ids WHERE user_id >= $3 AND user_id < $4`
	if list := words.Unique(term); len(list) > 0 {
		found += ` UNION ` + db.peopleByWords()
		args = append(args, db.nameQuery(list[:min(len(list), maxNameWords)]))
	}
	const known = `EXISTS (SELECT 1 FROM memberships b JOIN rooms o ON o.nid = b.room WHERE b.usr = f.nid AND b.membership = 1
		AND (o.public <> 0 OR EXISTS (SELECT 1 FROM memberships a WHERE a.usr = $1 AND a.room = b.room AND a.membership = 1)))`
	var out []Person
	err := db.each(ctx, `SELECT i.user_id, COALESCE(u.display_name, r.display_name), COALESCE(u.avatar_url, r.avatar_url)
		FROM (`+found+`) f JOIN user_ids i ON i.nid = f.nid LEFT JOIN users u ON u.nid = f.nid LEFT JOIN remote_names r ON r.usr = f.nid
		WHERE f.nid <> $1 AND (u.flags & 6 = 0 AND u.tenant = $2 OR (u.flags & 6 = 0 OR u.nid IS NULL AND r.usr IS NOT NULL) AND `+known+`)
		ORDER BY i.user_id LIMIT $5`, args, func(r *sql.Rows) error {
		var p Person
		err := r.Scan(&p.ID, &p.DisplayName, &p.AvatarURL)
		out = append(out, p)
		return err
	})
	return out, err
}

// peopleByWords selects the numbers of those whose names match the query $6, by the indexes of schema 0091.
func (db *DB) peopleByWords() string {
	if db.dialect.arrays {
		return `SELECT nid FROM users WHERE people_vector(id_words || name_words) @@ $6::text::tsquery
			UNION SELECT usr FROM remote_names WHERE people_vector(words) @@ $6::text::tsquery`
	}
	return `SELECT rowid FROM people_words WHERE people_words MATCH $6`
}

// nameQuery asks such an index for texts that have, for each of some words, one that begins with it.
func (db *DB) nameQuery(list []string) string {
	quote, prefix, and := `"`, `"*`, ` AND `
	if db.dialect.arrays {
		quote, prefix, and = `'`, `':*`, ` & `
	}
	return quote + strings.Join(list, prefix+and+quote) + prefix // a word has no quotes
}

// ListSharedRooms lists rooms that two users are both joined to, after one of them, by number; and how many there are in
// all.
func (db *DB) ListSharedRooms(ctx context.Context, a, b, after int64, limit int) (nids []int64, total int64, err error) {
	const both = ` FROM memberships a JOIN memberships b ON b.room = a.room WHERE a.usr = $1 AND b.usr = $2
		AND a.membership = 1 AND b.membership = 1`
	if err = db.row(ctx, `SELECT COUNT(*)`+both, []any{a, b}, &total); err != nil {
		return nil, 0, err
	}
	nids, err = db.numbers(ctx, `SELECT a.room`+both+` AND a.room > $3 ORDER BY a.room LIMIT $4`, a, b, after, int64(limit))
	return nids, total, err
}
