-- Stop points for tests: needs a library built with STOP_POINTS=1.
CREATE OR REPLACE FUNCTION stop_point_arm(name text, action text, count int DEFAULT 1) RETURNS void
	LANGUAGE C STRICT AS '$libdir/skyvault', 'skyvault_stop_point_arm';
CREATE OR REPLACE FUNCTION stop_point_disarm(name text) RETURNS void
	LANGUAGE C STRICT AS '$libdir/skyvault', 'skyvault_stop_point_disarm';
CREATE OR REPLACE FUNCTION stop_point_waiting(name text) RETURNS int
	LANGUAGE C STRICT AS '$libdir/skyvault', 'skyvault_stop_point_waiting';

-- Lines with the seal that objects of the log have.
CREATE OR REPLACE FUNCTION sealed(lines text) RETURNS text
	LANGUAGE C STRICT AS '$libdir/skyvault', 'skyvault_stop_point_sealed';

-- Waits until a process waits at the stop point.
CREATE OR REPLACE PROCEDURE stop_point_await(name text)
	LANGUAGE plpgsql AS $$
BEGIN
	WHILE stop_point_waiting(name) = 0 LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
