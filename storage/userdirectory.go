package storage

import (
	"context"
	"database/sql"
	"strconv"
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

var likeEscapes = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// SearchPeople lists whom a searcher may find: accounts of his tenant, members of rooms that he is in, and members of
// published rooms, whose id begins with the term or whose names have words that begin with each of the term's words.
func (db *DB) SearchPeople(ctx context.Context, searcher, tenant int64, term string, limit int) ([]Person, error) {
	term = strings.ToLower(strings.TrimSpace(term))
	id := strings.TrimPrefix(term, "@")
	if id == "" {
		return nil, nil
	}
	args := []any{searcher, tenant, "@" + likeEscapes.Replace(id) + "%", int64(limit)}
	local, remote := `FALSE`, `FALSE`
	for i, w := range words.Unique(term) {
		if i == 0 {
			local, remote = `TRUE`, `TRUE`
		}
		if i == maxNameWords {
			break
		}
		args = append(args, "% "+w+"%") // a word has nothing that LIKE knows
		n := "$" + strconv.Itoa(len(args))
		local += ` AND u.id_words || u.name_words LIKE ` + n
		remote += ` AND r.words LIKE ` + n
	}
	const known = `EXISTS (SELECT 1 FROM memberships b JOIN rooms o ON o.nid = b.room WHERE b.usr = i.nid AND b.membership = 1
		AND (o.public <> 0 OR EXISTS (SELECT 1 FROM memberships a WHERE a.usr = $1 AND a.room = b.room AND a.membership = 1)))`
	var out []Person
	err := db.each(ctx, `SELECT * FROM (
		SELECT i.user_id, u.display_name, u.avatar_url FROM users u JOIN user_ids i ON i.nid = u.nid
			WHERE u.flags & 6 = 0 AND u.nid <> $1 AND (i.user_id LIKE $3 ESCAPE '\' OR `+local+`) AND (u.tenant = $2 OR `+known+`)
		UNION ALL
		SELECT i.user_id, r.display_name, r.avatar_url FROM remote_names r JOIN user_ids i ON i.nid = r.usr
			WHERE (i.user_id LIKE $3 ESCAPE '\' OR `+remote+`) AND `+known+`
		) p ORDER BY user_id LIMIT $4`, args, func(r *sql.Rows) error {
		var p Person
		err := r.Scan(&p.ID, &p.DisplayName, &p.AvatarURL)
		out = append(out, p)
		return err
	})
	return out, err
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
