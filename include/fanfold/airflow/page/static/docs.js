// Shows the description of the API with Swagger UI.
SwaggerUIBundle({ dom_id: "#api", url: "openapi.json", deepLinking: true });
