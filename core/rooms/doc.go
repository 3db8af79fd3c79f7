// Package rooms owns the event graph of every room: it builds, authorises, resolves, appends, redacts and reads events,
// and on top of that the operations of the client-server API on rooms. Entrances and federation call it; local and
// remote events enter a room through the same code. It never knows who listens: readers hear of commits by the bus.
//
// # How a room's state is kept
//
// State is a tree of versions. A [Version] is a place on a branch: branch 0 is the room's resolved current state; other
// branches bear the number of the event that opened them. An event stores the version before it. The state after a
// state event is the next place on the same branch where that is free, else the first of a branch of its own. Where an
// event joins several histories, only the keys in which these differ are resolved.
//
// # Concurrency
//
// A [Room] is a small actor with one mutex. Under it an event is built, authorised, hashed, signed and queued for the
// committer; the commit is waited for outside. The next event may be built on one that is still under way. Readers never
// take the mutex: they see the last committed [View], published in commit order.
//
// Lock order: a queue slot of the committer is reserved before a room's mutex is taken. Nobody holds two rooms.
//
// # Where things are
//
// A room in memory: room and view are its state and what readers see of it; turns is whose turn it is to write; heads its newest events,
// nodes what another node did to it, state_events, state_map and state_read how state before any event is read; cache_rooms, cache_events and
// cache_txns what is kept; service is what the package is made of.
//
// The graph: compose, compose_build, compose_needs and compose_place make an event of ours and give it its place, commitment to the
// database included; receive and receive_place do that with one of another server. branches, checkpoint and fold keep the tree of versions, chains and
// chains_reach the index of auth chains, resolve asks internal/matrix/stateres; resets finds what resolution undid, repair, empower and condition
// help an administrator. Of single events: create_graph, redaction_graph, relations_graph, search_graph, names_graph, sticky_graph.
//
// What clients do: create, create_request, membership, member_profile, invite_rules, guests, send, send_check, transaction, shadow, alias_service, upgrade,
// upgrade_plan, predecessor, thirdparty. What they read: access, messages, messages_gaps, timestamp, relations, hierarchy, summary, search_seen,
// directory_service, directory_listings, listing; visibility, visibility_across, viewer_ahead, erased and ignored say what one person may see of it, eventfilter
// what he asked for, bundle and render how it is shown, anywhere what an administrator sees.
// sticky_waiting holds sticky events that may yet be let in. purge and remove delete, lifetime what has had its day; blocked closes a room to those who are new.
//
// Other servers, as they come to us: remote_make and remote_template propose a membership and take it signed, remote_invite, remote_thirdparty; remote_serve,
// remote_serve_ids, remote_near, remote_hierarchy and remote_partial answer what they ask, remote_servers says who may ask, remote_acl whom the room shuts out.
// remote_inbox takes what they send, remote_parse checks it, remote_sort orders it, remote_fetch, remote_gap, remote_newest and remote_backfill ask for what is missing,
// remote_keys waits for keys, remote_locks for one another, remote_return looks after servers that were away, remote_gone tells who does not know that we have left.
//
// As we go to them: remote_join enters a room, remote_intake, remote_keep and remote_store take in its state while it is read, remote_unanswered finishes a join whose
// answer was lost; remote_outside leaves and knocks from outside, remote_alias, remote_directory and remote_spaces look things up, remote_policy signs for a room's
// policy server. outbox says which servers an event is for, appservices which bridges.
//
// The policy: border asks it what passes between tenants, auditor is told; closure and closure_* freeze a room whose members are where its data may not go, show them out,
// and hold back from them what was said: closure_watch judges, closure_judge has the facts, closure_claim orders it with what is written meanwhile,
// closure_join, closure_serve and closure_remedy do the rest.
package rooms
