"""The database of the HR samples."""

import sqlite3


def employee_database(path):
    """The database that their notebooks fill at random; here everybody has 25 days."""
    with sqlite3.connect(path) as database:
        database.executescript(
            "CREATE TABLE employees (employee_id INTEGER PRIMARY KEY, employee_name TEXT, employee_job_title TEXT,"
            " employee_start_date TEXT, employee_employment_status TEXT);"
            "CREATE TABLE vacations (employee_id INTEGER, year INTEGER, employee_total_vacation_days INTEGER,"
            " employee_vacation_days_taken INTEGER, employee_vacation_days_available INTEGER);"
            "CREATE TABLE planned_vacations (employee_id INTEGER, vacation_start_date TEXT,"
            " vacation_end_date TEXT, vacation_days_taken INTEGER);"
        )
        for number in range(1, 100):
            database.execute(
                "INSERT INTO employees VALUES (?, ?, 'Analyst', '2020-01-01', 'Active')", (number, f"Employee {number}")
            )
            database.execute("INSERT INTO vacations VALUES (?, 2026, 30, 5, 25)", (number,))
    database.close()
