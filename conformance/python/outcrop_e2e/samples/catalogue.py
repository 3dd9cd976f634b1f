"""The samples: every handler of the two repositories that calls no other AWS service, and how to drive it.

What a handler must get follows behaviour that AWS documents for its events; what it must say follows from
its own source. Where a sample fails by its own doing, `fails` says how, and COMPAT.md why.
"""

import json

from .sample import Sample, function, helper_agent, notebook_agent, operation

UNHANDLED = r"Your request couldn't be completed\. Lambda function .* is Unhandled\. Check .* "
PROCESSING = r"The server encountered an error processing the Lambda response\. Check the Lambda response .* "

EXAMPLES = "examples/agents/"
TEAMS = "examples/multi_agent_collaboration/"
DESK = "examples/agents_ux/inline-agent-hr-assistant/"
FEATURES = "agents-and-function-calling/bedrock-agents/features-examples/"


def employee(number):
    """An employee's number, which schemas declare as an integer and events carry as text."""
    return ("integer", number)


def words(text):
    return ("string", text)


def vacations(number, confirm=False):
    """The two actions of the HR samples, for one employee of the database."""
    stay = {"employee_id": employee(number), "start_date": words("2026-06-01"), "end_date": words("2026-06-02")}
    return [
        function(
            "get_available_vacations_days", {"employee_id": employee(number)},
            says=rf"available vacation days for employed_id {number}: \d+",
        ),
        function(
            "get_available_vacations_days", {"employee_id": employee(9999)},
            says=r"available vacation days for employed_id 9999: No vacation data found for employed_id 9999",
        ),
        function(
            "reserve_vacation_time", stay, confirm=confirm,
            says=rf"Vacation saved successfully for employee with ID {number} from 2026-06-01 .* to 2026-06-02 .*\.",
        ),
        function(
            "reserve_vacation_time", {**stay, "start_date": words("soon")}, confirm=confirm,
            fails=UNHANDLED + ".*Error occurred: time data 'soon' does not match format",
        ),
    ]


def attributes(number):
    """The session attributes of the sample that takes its employee from the session."""
    return {"firstName": "Ada", "lastName": "Lovelace", "employeeId": str(number)}


def claims(confirm=False):
    """The four operations of the insurance samples."""
    paper = [{"DocumentRequirements": "Photographs", "pendingDocument": "AccidentImages"}]
    return [
        operation("getAllOpenClaims", "GET", "/open-items", says=r"\{'response': \[\{'claimId': 'claim-006'.*\]\}"),
        operation(
            "getOutstandingPaperwork", "GET", "/open-items/{claimId}/outstanding-paperwork",
            {"claimId": words("claim-857")}, says=r".*'DriverLicense, VehicleRegistration'.*",
        ),
        operation(
            "getClaimDetail", "GET", "/open-items/{claimId}/detail", {"claimId": words("claim-999")},
            says=r".*'claimId': 'claim-999'.*'status': 'Completed'.*",
        ),
        operation(
            "sendReminder", "POST", "/notify", confirm=confirm,
            body={"claimId": words("claim-006"), "pendingDocuments": ("array", paper)},
            says=r".*'sendReminderStatus': 'InProgress'.*",
        ),
    ]


def time_off():
    """The one operation of the samples that ask for time off."""
    def ask(says, corrects="", **arguments):
        return operation("processVacation", "POST", "/vacation", arguments, says=says, corrects=corrects)

    return [
        ask(r'\{"status": "info", .*25 days.*\}', action=words("check_balance")),
        ask(r'\{"status": "approved", .*New balance: 22 days\."\}', action=words("apply"), days=("integer", 3)),
        ask(r'\{"status": "pending", .*requires manager approval.*\}', action=words("request"), days=("integer", 20)),
        ask(r'\{"status": "error", .*specify the number of days.*\}', corrects="STATUS", action=words("apply")),
    ]


def claims_sample(name, repository, folder, notebook, confirm=False):
    return Sample(
        name, repository, f"{folder}lambda_function.py", notebook_agent(folder + notebook), claims(confirm),
        schema=f"{folder}insurance_claims_agent_openapi_schema.json",
    )


def employees_sample(name, repository, notebook, calls):
    return Sample(name, repository, notebook, notebook_agent(notebook), calls, has_employees=True)


def banking(notebook):
    """The banking samples hand their helper class what their notebooks assign."""

    def define(sample):
        names = sample.reading(notebook).names
        model = names.get("agent_foundation_model") or "us.amazon.nova-pro-v1:0"
        agent = {
            "agentName": names["agent_name"], "description": names["agent_description"],
            "instruction": names["agent_instruction"], "foundationModel": model,
        }
        group = {
            "actionGroupName": "banking-assistant",
            "description": "Checking account balance and getting bank appointment",
            "functionSchema": {"functions": names["agent_functions"]},
        }
        return agent, [group]

    return define


def banking_sample(name, repository, notebook):
    visit = {
        "user_id": employee(5), "appointment_category": words("paperwork"), "date": words("06-01-2026"),
        "hour": words("10:30"),
    }
    calls = [
        function("get_account_balance", {"user_id": employee(5)}, says=r"Your current account balance is [\d.]+"),
        function("book_appointment", visit, says=r"Appointment booked with success for 06-01-2026 at 10:30!"),
    ]
    return Sample(name, repository, notebook, banking(notebook), calls)


INSTRUCTION = "You help the employees of a company with questions about their work and its processes."


def inline(notebook):
    """The inline samples' group, on an agent of its own."""

    def define(sample):
        group = sample.reading(notebook).names["apply_vacation_tool"]
        return {"agentName": "time-off", "instruction": INSTRUCTION}, [group]

    return define


def desk(group, description, schema):
    """One tool of the HR desk; its schemas are constants of its configuration."""

    def define(sample):
        document = sample.reading(f"{DESK}config.py").names[schema]
        agent = {"agentName": f"desk-{group}", "instruction": INSTRUCTION}
        return agent, [{"actionGroupName": group, "description": description, "apiSchema": {"payload": document}}]

    return define


def human_in_the_loop(sample):
    """The CDK stack of this sample spells its configuration out into two groups of one function each."""
    config = json.loads(sample.read(f"{EXAMPLES}human_in_the_loop/cdk/BedrockAgentStack/config.json"))
    agent = {
        "agentName": config["agentName"], "description": config["agentDescription"],
        "instruction": config["agentInstruction"], "foundationModel": config["agentModelId"],
        "idleSessionTTLInSeconds": 1800,
    }
    balance = {"name": config["func_gettime_name"], "description": config["func_gettime_description"]}
    request = {
        "name": config["func_createtimeoff_name"], "description": config["func_createtimeoff_description"],
        "parameters": {
            config["func_createtimeoff_start_date"]: {
                "type": "string", "description": "The date that time off starts", "required": True,
            },
            config["func_createtimeoff_number_of_days"]: {
                "type": "integer", "description": "The number of days user wants to request off", "required": True,
            },
        },
    }
    groups = [
        {
            "actionGroupName": config[f"{kind}TimeOffActionGroupName"],
            "description": config[f"{kind}TimeOffActionGroup"],
            "functionSchema": {"functions": [described]},
        }
        for kind, described in (("get", balance), ("request", request))
    ]
    return agent, groups


def transmorgifier(sample):
    """A tool of the samples' own SDK: the group, its function and the Lambda function share one name."""
    reading = sample.reading("examples/sdk/getting_started.ipynb")
    parameter = reading.calls("create_with_values")[0]
    tool = "transmorgifier"
    described = {
        "name": tool, "description": next(call["description"] for call in reading.calls("create") if "schema" in call),
        "parameters": {
            parameter["name"]: {
                "type": "string", "description": parameter["description"], "required": parameter["required"],
            }
        },
    }
    agent = {"agentName": "test_agent", "instruction": INSTRUCTION}
    group = {
        "actionGroupName": tool, "description": f"actions for {described['description']}",
        "functionSchema": {"functions": [described]},
    }
    return agent, [group]


def mortgage_history(arguments, says):
    return function("get_mortgage_rate_history", {name: words(text) for name, text in arguments.items()}, says=says)


STATUS_OF_7 = r"\{'account_number': '7', 'outstanding_principal': 150599\.25, .*\}"
RATES = r"\[(\{'date': '[\d-]+', 'rate': '\d\.\d\d'\}(, )?){5}\]"


def mortgages(folder, name, script):
    """The two Lambda functions of a team of mortgage agents."""
    return [
        Sample(
            f"existing_mortgage{name}", "agent-samples", f"{TEAMS}{folder}/existing_mortgage_function.py",
            helper_agent(f"{TEAMS}{folder}/{script}", "existing_mortgage_assistant"),
            [
                function("get_mortgage_status", {"customer_id": words("7")}, says=STATUS_OF_7),
                # It looks for an argument that it does not need, and does not mind none in the session.
                function("get_mortgage_status", session={"customer_id": "7"}, fails=UNHANDLED + ".*StopIteration"),
            ],
            handler="existing_mortgage_function.lambda_handler",
        ),
        Sample(
            f"mortgage_application{name}", "agent-samples", f"{TEAMS}{folder}/mortgage_application_function.py",
            helper_agent(f"{TEAMS}{folder}/{script}", "mortgage_application_agent"),
            [
                function(
                    "get_mortgage_app_doc_status", {"customer_id": words("7")},
                    says=r".*'employment_information', 'status': 'MISSING'.*",
                ),
                function("get_mortgage_app_doc_status", says=r".*'proof_of_income', 'status': 'COMPLETED'.*"),
                function(
                    "get_application_details", session={"customer_id": "7"},
                    says=r"\{'customer_id': '7', 'application_id': '998776', .*\}",
                ),
                mortgage_history({"day_count": "5"}, RATES),
                mortgage_history({"day_count": "5", "type": "30-year-fixed"}, RATES),
            ],
            handler="mortgage_application_function.lambda_handler",
        ),
    ]


def portfolio(sample):
    """A handler of three operations, one of which sends mail through AWS and is left alone."""
    group = {"actionGroupName": "Portfolio", "description": "Research of companies, and portfolios of them."}
    return {"agentName": "portfolio", "instruction": INSTRUCTION}, [group]


FINANCE = f"{TEAMS}financial_assistant_agent/Fianancial Assistant Agent/"

CONTRACT = {"contract_id": words("12345")}

SAMPLES = [
    Sample(
        "human_in_the_loop", "agent-samples", f"{EXAMPLES}human_in_the_loop/backend/lambda.py", human_in_the_loop,
        [
            function("get_time_off", says=r'\{"remaining_balance": 10\.25\}', corrects="REPROMPT"),
            function(
                "create_time_off_request", {"start_date": words("2026-01-14"), "number_of_days": ("integer", 2)},
                says=r'\{"start_date": "2026-01-14", "number_of_days": "2", "id": 456\}', group=1,
                corrects="REPROMPT",
            ),
        ],
        handler="lambda.lambda_handler",
    ),
    Sample(
        "inline_agent", "agent-samples", f"{EXAMPLES}inline_agent/pto_lambda/lambda_function.py",
        inline(f"{EXAMPLES}inline_agent/inline-agent-api-usage.ipynb"), time_off(),
    ),
    claims_sample(
        "open_api_schema_agent", "agent-samples", f"{EXAMPLES}open_api_schema_agent/", "insurance_claims_agent.ipynb"
    ),
    claims_sample(
        "confirmed_api", "agent-samples",
        f"{EXAMPLES}user_confirmation_agents/create-agent-with-API-schema-and-user-confirmation/",
        "create-agent-with-API-schema-and-user-confirmation.ipynb", confirm=True,
    ),
    employees_sample(
        "confirmed_function", "agent-samples",
        f"{EXAMPLES}user_confirmation_agents/create-agent-with-function-definition-and-user-confirmation/"
        "create-agent-with-function-definition-and-user-confirmation.ipynb",
        vacations(11, confirm=True),
    ),
    banking_sample(
        "guardrails", "agent-samples", f"{EXAMPLES}agent_with_guardrails_integration/online_banking_agent.ipynb"
    ),
    Sample(
        "desk_vacation", "agent-samples", f"{DESK}Resources/ActionGroups/vacation/lambda_function.py",
        desk("VacationManagement", "Manage vacation requests and check balance", "VACATION_API_SCHEMA"), time_off(),
    ),
    Sample(
        "desk_budget", "agent-samples", f"{DESK}Resources/ActionGroups/budget/lambda_function.py",
        desk("FetchDetails", "Process bills for approval.", "BUDGET_API_SCHEMA"),
        [
            operation(
                "processBill", "GET", "/fetch", {"amount": ("number", 250)},
                says=r'\{"status": "approved", "amount": 250\.0\}',
            ),
            operation(
                "processBill", "GET", "/fetch", {"amount": ("number", 300.5)},
                says=r'\{"status": "not approved", "amount": 300\.5\}',
            ),
        ],
    ),
    Sample(
        "desk_compensation", "agent-samples", f"{DESK}Resources/ActionGroups/compensation/lambda_function.py",
        desk("PerformanceEvaluation", "Submits pay raise requests to the HR team.", "COMPENSATION_API_SCHEMA"),
        [
            operation(
                "submitCompensationRequest", "POST", "/compensation", {"employee_id": words("E1001")},
                says=r'\{"status": "success", .*"ticket_number": "[A-Za-z]{8}\d{3}"\}',
            ),
        ],
    ),
    Sample(
        "existing_contract", "agent-samples", f"{TEAMS}contract_assistant_agent/existing_contract_function.py",
        helper_agent(f"{TEAMS}contract_assistant_agent/main.py", "existing_contract_assistant"),
        [
            function("get_contract_status", CONTRACT, says=r"\{'contract_id': '12345', 'status': 'Active', .*\}"),
            function("get_contract_details", CONTRACT, says=r"\{'contract_id': '12345', .*'key_terms': \[.*\]\}"),
        ],
        handler="existing_contract_function.lambda_handler",
    ),
    *mortgages("mortgage_assistant", "", "main.py"),
    *mortgages("not_yet_optimized_models_agent", "_mistral", "main-mistral.py"),
    Sample(
        "portfolio", "agent-samples", f"{FINANCE}portfolio.py", portfolio,
        [
            # Its replies are JSON and not, as the guide asks, JSON in a string.
            operation(
                "post_companyResearch", "POST", "/companyResearch", {"name": words("TechStashNova Inc.")},
                says=r'\{"companyId":1,"companyName":"TechStashNova Inc\.",.*\}',
            ),
            operation(
                "post_createPortfolio", "POST", "/createPortfolio",
                {"industry": words("Real Estate"), "numCompanies": ("integer", 2)},
                says=r'\[\{"companyId":20,.*\},\{"companyId":19,.*\}\]',
            ),
            operation(
                "post_companyResearch", "POST", "/companyResearch", {"name": words("Nobody & Sons")},
                fails=PROCESSING + ".*application/json.body: expected a string, got null",
            ),
        ],
        # Without operation ids, from the time before models called tools by them.
        handler="portfolio.lambda_handler", schema=f"{FINANCE}Schema.json", fits_strict=False,
        untried=("post_sendEmail",),
    ),
    Sample(
        "sdk_profile", "agent-samples", "examples/sdk/lambda_lookup_user_profile.py",
        helper_agent("examples/sdk/getting_started.ipynb", "test_user_data_agent"),
        # Its schema says user_id, its code looks for input_string.
        [function("lookup_user_profile", {"user_id": words("1234")}, fails=UNHANDLED + ".*StopIteration")],
        handler="lambda_lookup_user_profile.lambda_handler",
    ),
    Sample(
        "sdk_transmorgify", "agent-samples", "examples/sdk/lambda_transmorgify_string.py", transmorgifier,
        # The SDK names the function after the tool, which is not what the handler calls it.
        [
            function(
                "transmorgifier", {"input_string": words("rain")},
                says=r"Error, function 'transmorgifier' not recognized",
            )
        ],
        handler="lambda_transmorgify_string.lambda_handler",
    ),
    employees_sample(
        "function_definition", "samples",
        f"{FEATURES}01-create-agent-with-function-definition/01-create-agent-with-function-definition.ipynb",
        vacations(21),
    ),
    claims_sample(
        "api_schema", "samples", f"{FEATURES}02-create-agent-with-api-schema/", "02-create-agent-with-api-schema.ipynb"
    ),
    employees_sample(
        "session_attributes", "samples",
        f"{FEATURES}06-prompt-and-session-attributes/06-prompt-and-session-attributes.ipynb",
        [
            function("get_available_vacations_days", fails=UNHANDLED + ".*Missing mandatory parameter: employee_id"),
            function(
                "get_available_vacations_days", session=attributes(31),
                says=r"available vacation days for employed_id 31: \d+",
            ),
            function(
                "reserve_vacation_time", {"start_date": words("2026-06-01"), "end_date": words("2026-06-02")},
                session=attributes(31), says=r"Vacation booked successfully for employee with ID 31 from .*",
            ),
            # It forgets to return what it has to say of an employee it does not know.
            function(
                "reserve_vacation_time", {"start_date": words("2026-06-01"), "end_date": words("2026-06-02")},
                session=attributes(9999), fails=PROCESSING + ".*TEXT.body: expected a string, got null",
            ),
        ],
    ),
    employees_sample(
        "advanced_prompts", "samples",
        f"{FEATURES}07-advanced-prompts-and-custom-parsers/07-custom-prompt-and-lambda-parsers.ipynb", vacations(41),
    ),
    banking_sample(
        "guardrails_feature", "samples", f"{FEATURES}08-create-agent-with-guardrails/08-create-agent-with-guardrails.ipynb"
    ),
    employees_sample(
        "confirmed_function_feature", "samples",
        f"{FEATURES}11-create-agents-with-action-user-confirmation/"
        "11.1-create-agent-with-function-definition-and-user-confirmation/"
        "11.1-create-agent-with-function-definition-and-user-confirmation.ipynb",
        vacations(51, confirm=True),
    ),
    claims_sample(
        "confirmed_api_feature", "samples",
        f"{FEATURES}11-create-agents-with-action-user-confirmation/"
        "11.3-create-agent-with-API-schema-and-user-confirmation/",
        "11.3-create-agent-with-API-schema-and-user-confirmation.ipynb", confirm=True,
    ),
    Sample(
        "inline_agents_feature", "samples", f"{FEATURES}15-invoke-inline-agents/pto_lambda/lambda_function.py",
        inline(f"{FEATURES}15-invoke-inline-agents/inline-agent-api-usage.ipynb"), time_off(),
    ),
    employees_sample(
        "introduction", "samples", "introduction-to-bedrock/bedrock_apis/04_agents_api.ipynb", vacations(61)
    ),
]


STAY = {"employee_id": employee(1), "start_date": words("2026-06-01"), "end_date": words("2026-06-02")}


def caller_sample(name, repository, notebook, confirm):
    """A sample whose caller books the vacation itself."""
    call = function("reserve_vacation_time", STAY, says="Vacation booked.", confirm=confirm)
    return Sample(name, repository, notebook, notebook_agent(notebook), [call])


RETURN_OF_CONTROL = [
    caller_sample(
        "return_of_control", "samples", "agents-and-function-calling/function-calling/return_of_control/"
        "return_of_control.ipynb", confirm=False,
    ),
    caller_sample(
        "return_of_control_feature", "samples",
        f"{FEATURES}03-create-agent-with-return-of-control/03-create-agent-with-return-of-control.ipynb", confirm=False,
    ),
    caller_sample(
        "confirmed_return_feature", "samples",
        f"{FEATURES}11-create-agents-with-action-user-confirmation/"
        "11.2-create-agent-with-function-definition-roc-and-user-confirmation/"
        "11.2-create-agent-with-function-definition-roc-and-user-confirmation.ipynb",
        confirm=True,
    ),
    caller_sample(
        "confirmed_return", "agent-samples",
        f"{EXAMPLES}user_confirmation_agents/create-agent-with-function-definition-roc-and-user-confirmation/"
        "create-agent-with-function-definition-roc-and-user-confirmation.ipynb",
        confirm=True,
    ),
]
