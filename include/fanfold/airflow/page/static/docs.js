// Shows the OpenAPI document with Swagger UI.
SwaggerUIBundle({ dom_id: "#api", url: "openapi.json", deepLinking: true });
