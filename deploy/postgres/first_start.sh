#!/bin/sh
# Runs once, on an empty volume: two databases, an owner that migrates, and an app role that obeys row security.
set -eu
psql --quiet --set=ON_ERROR_STOP=1 --set=password="$POSTGRES_PASSWORD" --username postgres <<'SQL'
create role owner login nosuperuser password :'password';
create role app login nosuperuser nobypassrls password :'password';
create database modelbridge owner owner;
create database prefect owner owner;
\connect prefect
create extension if not exists pg_trgm;
SQL
