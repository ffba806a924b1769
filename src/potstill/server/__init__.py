"""OpenAI's distillation API, self-hosted: stored completions, files, fine-tuning jobs, evals, batches, responses.

    settings, auth, errors, ids, pages, bodies    what all routes share
    endpoint, guard, app, serving                 from a socket to a handler
    routes/                                       one file a resource, each with its ENDPOINTS
    chat, answerers, upstream/, models/           who answers a chat completion: teachers and students
    cascade                                       the student where it may, its teacher otherwise
    responses/, batches/                          other ways to ask for chat completions
    completions, files, datasets                  what is kept, found and turned into training files
    database/                                     tables, numbered migrations, one writer with group commit
    blobs                                         large contents by their SHA-256

A new route: a file in `routes/` with async handlers `handler(call) -> JSON value or Response` and
`ENDPOINTS = (Endpoint(method=, path=, policy=, handler=, body=), ...)`, added to the tuple in `routes/__init__.py`.
`policy` has no default: PROJECT for everything that belongs to a project (then every query has
`.where(table.c.project == call.project)`, and what isn't found is `not_found(...)`), ADMIN, or PUBLIC, which the tests
allow by name only. `body` is a msgspec Struct (unknown fields are passed over) or dict. Errors are raised with the
functions in `errors.py`.

A new table: a file `database/migrations/m00NN_name.py` with a function of MetaData for each table and `up(connection)`
that calls `create`, its name at the end of MIGRATIONS, and a line in `database/tables.py`. A step that was released is
never changed. A column that comes later: a step whose `up` alters the table, and `table.append_column` in `tables.py`.

Rows are read with `await services.database.read(lambda connection: ...)` and written with `write`, which returns once
they are on disk; `append` inserts rows of many requests in one statement. Threads use `read_now` and `write_now`. Lists
are `read_page(...)`, `page.select(query, table.c.seq, after_seq)`, `page.page(rows)`; `seq` comes from `ids.next_seq`.

A column that names a blob belongs into `files.NAMING`. A trained student becomes a model with `models.add_model` and a
`models.Template`; another kind of answerer (a generative student) gets a branch in
`answerers.find_answerer`.
"""
