-- A measurement of something else than intended must not pass for a result.
CREATE FUNCTION bench_check(what text, holds boolean) RETURNS void
	LANGUAGE plpgsql
	AS $$
BEGIN
	IF holds IS NOT TRUE THEN
		RAISE EXCEPTION 'the measurements are void: %', what;
	END IF;
END
$$;
