-- A batch is one call of commit_v1, so that it costs one round trip and holds its locks no longer than
-- its own statements run. A later version of the program brings commit_v2 beside it: servers of both
-- versions may run on one database.
--
-- Locks are held to the end of the transaction and taken in one order: families (advisory), then the
-- rows of documents, then journals and jobs. Whatever a batch has looked at is locked, an absent
-- document too, so batches that succeed are serializable although statements run as READ COMMITTED.

-- Makes a document: the revision is -1 when the expectation does not hold, -2 when the name is taken.
-- Expectations: -1 anything, 0 absent, else the revision.
CREATE FUNCTION outcrop.put_v1(
    now_ms bigint,
    in_scope text,
    in_kind text,
    in_parent text,
    in_id text,
    in_body text,
    in_expect bigint,
    in_name text,
    in_expires_at_ms bigint,
    in_sweep_hour bigint,
    OUT out_revision bigint,
    OUT out_holder text
) LANGUAGE plpgsql AS $$
DECLARE
    found_revision bigint;
    found_name text;
    found_expires_at_ms bigint;
    there boolean;
    holder_expires_at_ms bigint;
    newest bigint := CASE WHEN in_expires_at_ms IS NULL THEN -now_ms END;
BEGIN
    -- The usual cases in one statement each: a guarded update that leaves the name alone, and a new
    -- document without a name.
    IF in_expect > 0 THEN
        UPDATE outcrop.documents AS d
        SET revision = d.revision + 1,
            updated_at_ms = now_ms,
            expires_at_ms = in_expires_at_ms,
            sweep_hour = in_sweep_hour,
            newest_first = newest,
            body = in_body
        WHERE d.scope = in_scope AND d.kind = in_kind AND d.parent = in_parent AND d.id = in_id
            AND d.revision = in_expect
            AND (d.expires_at_ms IS NULL OR d.expires_at_ms > now_ms)
            AND d.name IS NOT DISTINCT FROM in_name
        RETURNING d.revision INTO out_revision;
        IF FOUND THEN
            RETURN;
        END IF;
    ELSIF in_name IS NULL THEN
        INSERT INTO outcrop.documents AS d
        VALUES (in_scope, in_kind, in_parent, in_id, 1, now_ms, now_ms, in_expires_at_ms,
            in_sweep_hour, newest, NULL, in_body)
        ON CONFLICT DO NOTHING;
        IF FOUND THEN
            out_revision := 1;
            RETURN;
        END IF;
    END IF;
    -- A round is taken again only when another transaction made the document meanwhile.
    FOR round IN 1..8 LOOP
        SELECT d.revision, d.name, d.expires_at_ms
        INTO found_revision, found_name, found_expires_at_ms
        FROM outcrop.documents AS d
        WHERE d.scope = in_scope AND d.kind = in_kind AND d.parent = in_parent AND d.id = in_id
        FOR UPDATE;
        there := FOUND;
        IF there AND found_expires_at_ms <= now_ms THEN
            DELETE FROM outcrop.documents AS d
            WHERE d.scope = in_scope AND d.kind = in_kind AND d.parent = in_parent AND d.id = in_id;
            there := false;
        END IF;
        IF (in_expect = 0 AND there)
            OR (in_expect > 0 AND (NOT there OR found_revision <> in_expect))
        THEN
            out_revision := -1;
            RETURN;
        END IF;
        IF in_name IS NOT NULL AND (NOT there OR found_name IS DISTINCT FROM in_name) THEN
            SELECT d.id, d.expires_at_ms
            INTO out_holder, holder_expires_at_ms
            FROM outcrop.documents AS d
            WHERE d.scope = in_scope AND d.kind = in_kind AND d.parent = in_parent
                AND d.name = in_name AND d.id <> in_id;
            IF FOUND THEN
                IF holder_expires_at_ms IS NULL OR holder_expires_at_ms > now_ms THEN
                    out_revision := -2;
                    RETURN;
                END IF;
                DELETE FROM outcrop.documents AS d
                WHERE d.scope = in_scope AND d.kind = in_kind AND d.parent = in_parent
                    AND d.id = out_holder AND d.expires_at_ms <= now_ms;
                out_holder := NULL;
            END IF;
        END IF;
        IF there THEN
            -- Fails as a unique violation if another transaction takes the name meanwhile.
            UPDATE outcrop.documents AS d
            SET revision = d.revision + 1,
                updated_at_ms = now_ms,
                expires_at_ms = in_expires_at_ms,
                sweep_hour = in_sweep_hour,
                newest_first = newest,
                name = in_name,
                body = in_body
            WHERE d.scope = in_scope AND d.kind = in_kind AND d.parent = in_parent AND d.id = in_id
            RETURNING d.revision INTO out_revision;
            RETURN;
        END IF;
        -- Waits for a transaction that makes the same document or takes the name.
        INSERT INTO outcrop.documents AS d
        VALUES (in_scope, in_kind, in_parent, in_id, 1, now_ms, now_ms, in_expires_at_ms,
            in_sweep_hour, newest, in_name, in_body)
        ON CONFLICT DO NOTHING;
        IF FOUND THEN
            out_revision := 1;
            RETURN;
        END IF;
    END LOOP;
    RAISE EXCEPTION 'others were quicker each time' USING ERRCODE = 'serialization_failure';
END
$$;

-- Removes a document; false when the expectation does not hold.
CREATE FUNCTION outcrop.delete_v1(
    now_ms bigint,
    in_scope text,
    in_kind text,
    in_parent text,
    in_id text,
    in_expect bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    found_revision bigint;
    found_expires_at_ms bigint;
    there boolean;
BEGIN
    FOR round IN 1..8 LOOP
        SELECT d.revision, d.expires_at_ms
        INTO found_revision, found_expires_at_ms
        FROM outcrop.documents AS d
        WHERE d.scope = in_scope AND d.kind = in_kind AND d.parent = in_parent AND d.id = in_id
        FOR UPDATE;
        there := FOUND AND (found_expires_at_ms IS NULL OR found_expires_at_ms > now_ms);
        IF (in_expect = 0 AND there)
            OR (in_expect > 0 AND (NOT there OR found_revision <> in_expect))
        THEN
            RETURN false;
        END IF;
        IF found_revision IS NULL THEN
            -- A row made and removed again locks the absence until the transaction ends.
            INSERT INTO outcrop.documents AS d
            VALUES (in_scope, in_kind, in_parent, in_id, 0, now_ms, now_ms, now_ms, NULL, NULL, NULL,
                '')
            ON CONFLICT DO NOTHING;
            CONTINUE WHEN NOT FOUND;
        END IF;
        DELETE FROM outcrop.documents AS d
        WHERE d.scope = in_scope AND d.kind = in_kind AND d.parent = in_parent AND d.id = in_id;
        RETURN true;
    END LOOP;
    RAISE EXCEPTION 'others were quicker each time' USING ERRCODE = 'serialization_failure';
END
$$;

-- Applies a batch. One element of each array a write; by operation:
--   0 put              scope kind parent id, text body, number expectation, name, expires, hour
--   1 delete           scope kind parent id, number expectation
--   2 delete children  scope kind parent
--   3 append           scope journal, number last sequence number, expires count of entries
--   4 enqueue          scope job, kind queue, text payload, number due time
--   5 finish           scope job, number lease
-- families are numbers of (scope, kind, parent), ascending: those a batch may make documents in, locked
-- shared, and those whose children it deletes, locked exclusively, so that none is made meanwhile.
-- A refused batch: failure 1 stale, 2 name taken (holder), 3 fenced (actual), 4 journal full; place is
-- the number of the write, from 0. It is returned where nothing has been written, which leaves the
-- server's log quiet, and otherwise raised as OC001 to undo what has.
CREATE FUNCTION outcrop.commit_v1(
    now_ms bigint,
    families bigint[],
    exclusively boolean[],
    locks_documents boolean,
    operations smallint[],
    scopes text[],
    kinds text[],
    parents text[],
    ids text[],
    texts text[],
    numbers bigint[],
    names text[],
    expiries bigint[],
    hours bigint[],
    entries bytea[],
    entries_max bigint,
    OUT failure smallint,
    OUT place int,
    OUT actual bigint,
    OUT holder text,
    OUT revisions bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    written boolean := false;
    revision bigint;
    first_entry int := 1;
    entry_count int;
    inserted bigint;
BEGIN
    failure := 0;
    revisions := ARRAY[]::bigint[];
    FOR i IN 1..cardinality(families) LOOP
        IF exclusively[i] THEN
            PERFORM pg_advisory_xact_lock(families[i]);
        ELSE
            PERFORM pg_advisory_xact_lock_shared(families[i]);
        END IF;
    END LOOP;
    IF locks_documents THEN
        -- In one order for all, so that batches over the same documents cannot deadlock.
        PERFORM 1
        FROM unnest(operations, scopes, kinds, parents, ids)
            AS w (operation, scope, kind, parent, id)
        JOIN outcrop.documents AS d
            ON d.scope = w.scope AND d.kind = w.kind AND d.parent = w.parent AND d.id = w.id
        WHERE w.operation <= 1
        ORDER BY d.scope, d.kind, d.parent, d.id
        FOR UPDATE OF d;
    END IF;
    FOR i IN 1..cardinality(operations) LOOP
        place := i - 1;
        revision := 0;
        CASE operations[i]
        WHEN 0 THEN
            SELECT p.out_revision, p.out_holder
            INTO revision, holder
            FROM outcrop.put_v1(now_ms, scopes[i], kinds[i], parents[i], ids[i], texts[i],
                numbers[i], names[i], expiries[i], hours[i]) AS p;
            IF revision < 0 THEN
                failure := -revision;
                EXIT;
            END IF;
            written := true;
        WHEN 1 THEN
            IF NOT outcrop.delete_v1(now_ms, scopes[i], kinds[i], parents[i], ids[i], numbers[i])
            THEN
                failure := 1;
                EXIT;
            END IF;
            written := true;
        WHEN 2 THEN
            DELETE FROM outcrop.documents AS d
            WHERE d.scope = scopes[i] AND d.kind = kinds[i] AND d.parent = parents[i];
            written := true;
        WHEN 3 THEN
            entry_count := expiries[i];
            actual := coalesce((
                SELECT e.seq FROM outcrop.entries AS e
                WHERE e.journal = scopes[i]
                ORDER BY e.seq DESC
                LIMIT 1
            ), 0);
            IF actual <> numbers[i] THEN
                failure := 3;
                EXIT;
            END IF;
            IF actual + entry_count > entries_max THEN
                failure := 4;
                EXIT;
            END IF;
            written := true;
            -- An append of nothing makes and removes an entry, which locks the journal's end.
            INSERT INTO outcrop.entries (journal, seq, bytes)
            SELECT scopes[i], numbers[i] + e.place, e.bytes
            FROM unnest(CASE entry_count
                WHEN 0 THEN ARRAY[''::bytea]
                ELSE entries[first_entry:first_entry + entry_count - 1]
            END) WITH ORDINALITY AS e (bytes, place)
            ON CONFLICT DO NOTHING;
            GET DIAGNOSTICS inserted = ROW_COUNT;
            IF inserted <> greatest(entry_count, 1) THEN
                RAISE EXCEPTION 'another writer appended first'
                USING ERRCODE = 'serialization_failure';
            END IF;
            IF entry_count = 0 THEN
                DELETE FROM outcrop.entries AS e
                WHERE e.journal = scopes[i] AND e.seq = numbers[i] + 1;
            END IF;
            first_entry := first_entry + entry_count;
        WHEN 4 THEN
            INSERT INTO outcrop.jobs AS j (id, queue, claimable_at_ms, attempts, lease, payload)
            VALUES (scopes[i], kinds[i], numbers[i], 0, NULL, texts[i])
            ON CONFLICT (id) DO UPDATE SET
                queue = excluded.queue,
                claimable_at_ms = excluded.claimable_at_ms,
                lease = NULL,
                payload = excluded.payload;
            written := true;
        WHEN 5 THEN
            DELETE FROM outcrop.jobs AS j WHERE j.id = scopes[i] AND j.lease = numbers[i];
            written := written OR FOUND;
        END CASE;
        -- A document put with an expiry already past is absent for the writes after it; each looks at
        -- the expiry itself.
        revisions := revisions || revision;
    END LOOP;
    IF failure <> 0 AND written THEN
        RAISE EXCEPTION 'the batch is refused' USING
            ERRCODE = 'OC001',
            DETAIL = format('%s %s %s %s', failure, place, coalesce(actual, 0), coalesce(holder, ''));
    END IF;
END
$$;
