package rooms

import "rempart/internal/matrix"

// Auditor reads in the place of a user: it sees all of every room that is known here. It is no user id, so nobody can have
// it; entrances hand it over for administrators only.
const Auditor matrix.UserID = "@:"
